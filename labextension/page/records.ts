/**
 * The answers of the API that only the page reads, and how they are checked.
 */

import { count, isObject, list, object, text, textOr, time, wireFloat } from '../src/checks';

/** One page of a list. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly nextPageToken: string | null;
}

/** Which ModelBox answers, and as whom it sees us. */
export interface ServerInfo {
  readonly version: string;
  readonly face: string;
  readonly metadataStorage: string;
  readonly metricsStorage: string;
  readonly artifactStorage: string;
  readonly user: string;
}

/** A named file of an object. */
export interface Artifact {
  readonly id: string;
  readonly parentId: string;
  readonly name: string;
  readonly fileType: string;
  readonly isUploaded: boolean;
  readonly mediaType: string;
  readonly sizeBytes: number | null;
  readonly sha256: string;
  readonly uri: string;
  readonly createdAt: Date;
}

/** Something that a trainer or another system says happened. */
export interface LoggedEvent {
  readonly id: string;
  readonly name: string;
  readonly source: string;
  readonly at: Date;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** What ModelBox itself recorded, and who did it. */
export interface Change {
  readonly seq: number;
  readonly kind: string;
  readonly objectType: string;
  readonly objectId: string;
  readonly actor: string;
  readonly face: string;
  readonly address: string;
  readonly at: Date;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** A saved state of an experiment. */
export interface Checkpoint {
  readonly id: string;
  readonly epoch: number;
  readonly metrics: ReadonlyMap<string, number | null>;
  readonly createdAt: Date;
}

/** What solves a task. */
export interface Model {
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
  readonly owner: string;
  readonly task: string;
  readonly description: string;
  readonly updatedAt: Date;
}

/** One trained instance of a model. */
export interface ModelVersion {
  readonly id: string;
  readonly modelId: string;
  readonly version: string;
  readonly name: string;
  readonly description: string;
  readonly framework: string;
  readonly tags: readonly string[];
  readonly experimentId: string | null;
  readonly createdAt: Date;
}

/** A server among those that share a store. */
export interface Member {
  readonly id: string;
  readonly hostName: string;
  readonly rpcAddress: string;
  readonly httpAddress: string;
  readonly mode: string;
  readonly version: string;
  readonly seenAt: Date;
}

type Fields = Readonly<Record<string, unknown>>;

/** How to decode a page of `item`s. */
export function pageOf<T>(item: (fields: Fields, where: string) => T): (value: unknown) => Page<T> {
  return value => {
    const page = object(value, 'page');
    return {
      items: list(page.items, 'items').map((one, i) => item(object(one, `items[${i}]`), `items[${i}]`)),
      nextPageToken: typeof page.next_page_token === 'string' ? page.next_page_token : null
    };
  };
}

/** Decode what `/info` tells. */
export function decodeInfo(value: unknown): ServerInfo {
  const info = object(value, 'info');
  return {
    version: text(info.version, 'info.version'),
    face: textOr(info.face, ''),
    metadataStorage: textOr(info.metadata_storage, ''),
    metricsStorage: textOr(info.metrics_storage, ''),
    artifactStorage: textOr(info.artifact_storage, ''),
    user: textOr(info.user, '')
  };
}

/* What a page may hold: each is given to `pageOf`. */

export function artifact(fields: Fields, where: string): Artifact {
  return {
    id: text(fields.id, `${where}.id`),
    parentId: textOr(fields.parent_id, ''),
    name: text(fields.name, `${where}.name`),
    fileType: textOr(fields.file_type, 'undefined'),
    isUploaded: fields.storage === 'uploaded',
    mediaType: textOr(fields.media_type, ''),
    sizeBytes: typeof fields.size_bytes === 'number' ? fields.size_bytes : null,
    sha256: textOr(fields.sha256, ''),
    uri: textOr(fields.uri, ''),
    createdAt: time(fields.created_at, `${where}.created_at`)
  };
}

export function loggedEvent(fields: Fields, where: string): LoggedEvent {
  return {
    id: text(fields.id, `${where}.id`),
    name: text(fields.name, `${where}.name`),
    source: textOr(fields.source, ''),
    at: time(fields.wall_time, `${where}.wall_time`),
    metadata: isObject(fields.metadata) ? fields.metadata : {}
  };
}

export function change(fields: Fields, where: string): Change {
  return {
    seq: count(fields.seq, `${where}.seq`),
    kind: text(fields.kind, `${where}.kind`),
    objectType: textOr(fields.object_type, ''),
    objectId: textOr(fields.object_id, ''),
    actor: textOr(fields.actor, ''),
    face: textOr(fields.face, ''),
    address: textOr(fields.address, ''),
    at: time(fields.at, `${where}.at`),
    payload: isObject(fields.payload) ? fields.payload : {}
  };
}

export function checkpoint(fields: Fields, where: string): Checkpoint {
  return {
    id: text(fields.id, `${where}.id`),
    epoch: count(fields.epoch, `${where}.epoch`),
    metrics: new Map(Object.entries(isObject(fields.metrics) ? fields.metrics : {}).map(([key, value]) => [key, wireFloat(value)])),
    createdAt: time(fields.created_at, `${where}.created_at`)
  };
}

export function model(fields: Fields, where: string): Model {
  return {
    id: text(fields.id, `${where}.id`),
    name: text(fields.name, `${where}.name`),
    namespace: textOr(fields.namespace, ''),
    owner: textOr(fields.owner, ''),
    task: textOr(fields.task, ''),
    description: textOr(fields.description, ''),
    updatedAt: time(fields.updated_at, `${where}.updated_at`)
  };
}

export function modelVersion(fields: Fields, where: string): ModelVersion {
  return {
    id: text(fields.id, `${where}.id`),
    modelId: text(fields.model_id, `${where}.model_id`),
    version: text(fields.version, `${where}.version`),
    name: textOr(fields.name, ''),
    description: textOr(fields.description, ''),
    framework: textOr(fields.framework, ''),
    tags: Array.isArray(fields.tags) ? fields.tags.map(tag => text(tag, `${where}.tags`)) : [],
    experimentId: typeof fields.experiment_id === 'string' ? fields.experiment_id : null,
    createdAt: time(fields.created_at, `${where}.created_at`)
  };
}

export function member(fields: Fields, where: string): Member {
  return {
    id: text(fields.id, `${where}.id`),
    hostName: textOr(fields.host_name, ''),
    rpcAddress: textOr(fields.rpc_addr, ''),
    httpAddress: textOr(fields.http_addr, ''),
    mode: textOr(fields.mode, ''),
    version: textOr(fields.version, ''),
    seenAt: time(fields.seen_at, `${where}.seen_at`)
  };
}
