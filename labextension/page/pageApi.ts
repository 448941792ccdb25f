/**
 * What the page asks of ModelBox beyond what the lab extension asks.
 */

import { Api, ApiError, queryString } from '../src/api';
import { object } from '../src/checks';
import { decodeColumns } from '../src/decode';
import type { FrameColumns } from '../src/decode';
import { decodeDeleted, decodeMade, decodeMe, grant, token } from './accessRecords';
import type { Grant, Me, Token } from './accessRecords';
import { artifact, change, checkpoint, decodeInfo, loggedEvent, member, model, modelVersion, pageOf } from './records';
import type { Artifact, Change, Checkpoint, LoggedEvent, Member, Model, ModelVersion, Page, ServerInfo } from './records';
import type { Session } from './session';

/** Which experiments a table wants. */
export interface FrameQuery {
  readonly q?: string;
  readonly limit: number;
  readonly pageToken?: string;
  readonly ids?: readonly string[];
  readonly long?: boolean;
}

/** A token to make. */
export interface NewToken {
  readonly name: string;
  readonly role: string;
  readonly namespaces: readonly string[];
  readonly expiresAt: Date | null;
}

/** Most items of one page. */
export const MAX_PAGE = 1000;

/** Asks, and tells when the token is no longer good. */
export class PageApi extends Api {
  constructor(
    readonly session: Session,
    private readonly onRefused: (error: ApiError) => void
  ) {
    super(session.send, 'There is no ModelBox API beside this page: is the address right, up to its last slash?');
  }

  info(): Promise<ServerInfo> {
    return this.ask('info', decodeInfo);
  }

  /** Experiments as columns. */
  frame({ q, limit, pageToken, ids, long }: FrameQuery): Promise<FrameColumns> {
    const query = queryString({ q: q || undefined, limit, page_token: pageToken, ids: ids?.join(','), long: long ? 'true' : undefined });
    return this.ask(`frames/experiments${query}`, decodeColumns);
  }

  /** Files of some objects. */
  artifacts(objectIds: readonly string[], pageToken?: string): Promise<Page<Artifact>> {
    return this.ask(`artifacts${queryString({ objects: objectIds.join(','), limit: MAX_PAGE, page_token: pageToken })}`, pageOf(artifact));
  }

  events(objectId: string, pageToken?: string): Promise<Page<LoggedEvent>> {
    return this.ask(`objects/${encodeURIComponent(objectId)}/events${pages(pageToken)}`, pageOf(loggedEvent));
  }

  /** What happened to an object and to what hangs on it, oldest first. */
  changes(objectId: string, after: number): Promise<Page<Change>> {
    return this.ask(`changes${queryString({ object_id: objectId, after, limit: MAX_PAGE })}`, pageOf(change));
  }

  checkpoints(experimentId: string, pageToken?: string): Promise<Page<Checkpoint>> {
    return this.ask(`experiments/${encodeURIComponent(experimentId)}/checkpoints${pages(pageToken)}`, pageOf(checkpoint));
  }

  models(pageToken?: string): Promise<Page<Model>> {
    return this.ask(`models${pages(pageToken)}`, pageOf(model));
  }

  versions(modelId: string, pageToken?: string): Promise<Page<ModelVersion>> {
    return this.ask(`models/${encodeURIComponent(modelId)}/versions${pages(pageToken)}`, pageOf(modelVersion));
  }

  members(): Promise<Page<Member>> {
    return this.ask('members', pageOf(member));
  }

  /** The bytes of an artifact, or as many of them from its beginning. */
  async content(artifactId: string, atMostBytes?: number): Promise<Response> {
    const headers: Record<string, string> = atMostBytes === undefined ? {} : { Range: `bytes=0-${atMostBytes - 1}` };
    const response = await this.session.send(`artifacts/${encodeURIComponent(artifactId)}/content`, { method: 'GET', headers });
    if (!response.ok) {
      return this.refuse(response);
    }
    return response;
  }

  me(): Promise<Me> {
    return this.ask('access', decodeMe);
  }

  grants(pageToken?: string): Promise<Page<Grant>> {
    return this.ask(`grants${pages(pageToken)}`, pageOf(grant));
  }

  grant(namespace: string, principal: string, role: string): Promise<Grant> {
    return this.ask('grants', value => grant(object(value, 'grant'), 'grant'), { namespace, principal, role });
  }

  revokeGrant(namespace: string, principal: string): Promise<number> {
    return this.ask(`grants${queryString({ namespace, principal })}`, decodeDeleted, undefined, 'DELETE');
  }

  tokens(pageToken?: string): Promise<Page<Token>> {
    return this.ask(`tokens${pages(pageToken)}`, pageOf(token));
  }

  /** Make a token, which is told this once; an empty role is all that we may. */
  makeToken({ name, role, namespaces, expiresAt }: NewToken): Promise<string> {
    const body = { name, namespaces, role: role || null, expires_at: expiresAt?.toISOString() ?? null };
    return this.ask('tokens', decodeMade, body);
  }

  revokeToken(id: string): Promise<number> {
    return this.ask(`tokens/${encodeURIComponent(id)}`, decodeDeleted, undefined, 'DELETE');
  }

  protected override async ask<T>(path: string, decode: (value: unknown) => T, body?: object, method?: string): Promise<T> {
    try {
      return await super.ask(path, decode, body, method);
    } catch (error) {
      if (error instanceof ApiError && error.code === 'unauthenticated') {
        this.onRefused(error);
      }
      throw error;
    }
  }
}

function pages(pageToken: string | undefined): string {
  return queryString({ limit: MAX_PAGE, page_token: pageToken });
}

/** All items of a list, page after page. */
export async function all<T>(ask: (pageToken?: string) => Promise<Page<T>>, atMost = 10 * MAX_PAGE): Promise<readonly T[]> {
  const items: T[] = [];
  let page = await ask();
  items.push(...page.items);
  while (page.nextPageToken !== null && items.length < atMost) {
    page = await ask(page.nextPageToken);
    items.push(...page.items);
  }
  return items;
}
