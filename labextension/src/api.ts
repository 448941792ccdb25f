/**
 * The one place that talks to the ModelBox API, wherever it is: in a Jupyter server (`jupyter.ts`) or behind the standalone page.
 */

import { isObject } from './checks';
import { decodeCounts, decodeExperiment, decodeFrame, decodeMetrics } from './decode';
import type { Experiment, RunPage, Series } from './decode';

/** An error with which the server answered; its message is the server's own sentence. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    /** Which error of ModelBox it is, as in `unauthenticated`; empty for what others say. */
    readonly code = ''
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

/** Which points to read. */
export interface PointsQuery {
  readonly objects: readonly string[];
  readonly keys: readonly string[] | null;
  readonly maxPoints?: number;
  readonly skip?: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** Sends a request to a path below `api/v1/` with a credential; rejects with an `ApiError` of status 0 where nobody answers. */
export type Send = (path: string, init: RequestInit) => Promise<Response>;

type Decoder<T> = (value: unknown) => T;

async function json(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What went wrong, in the words of the server's `application/problem+json` (or of Jupyter's own JSON errors). */
function sentence(answer: unknown, response: Response, absent: string): string {
  if (isObject(answer)) {
    for (const field of [answer.detail, answer.title, answer.message]) {
      if (typeof field === 'string' && field) {
        return field;
      }
    }
  }
  return response.status === 404
    ? absent
    : `The ModelBox server answered ${response.status} ${response.statusText}.`.replace(' .', '.');
}

/** What the extension asks of ModelBox. */
export class Api {
  constructor(
    private readonly send: Send,
    /** What it means when there is nothing at the address of the API. */
    private readonly absent: string
  ) {}

  /** The newest experiments with their metadata and metric summaries. */
  runs(limit: number, pageToken?: string): Promise<RunPage> {
    return this.ask(`frames/experiments${queryString({ limit, page_token: pageToken })}`, decodeFrame);
  }

  /** One experiment. */
  experiment(id: string): Promise<Experiment> {
    return this.ask(`experiments/${encodeURIComponent(id)}`, value => decodeExperiment(value));
  }

  /** How many points each series of some objects has. */
  counts(objects: readonly string[]): Promise<ReadonlyMap<string, ReadonlyMap<string, number>>> {
    return this.ask('metrics/summaries', decodeCounts, { objects });
  }

  /** Points of many series. */
  points(query: PointsQuery): Promise<readonly Series[]> {
    const { objects, keys, maxPoints, skip } = query;
    const body = { objects, keys, ...(maxPoints === undefined ? {} : { max_points: maxPoints }), ...(skip ? { skip } : {}) };
    return this.ask('metrics/read', decodeMetrics, body);
  }

  /** Send one request and decode its JSON answer: POST with a body, GET without, unless another method is named. */
  protected async ask<T>(path: string, decode: Decoder<T>, body?: object, method = body ? 'POST' : 'GET'): Promise<T> {
    const headers = { Accept: 'application/json', ...(body ? { 'Content-Type': 'application/json' } : {}) };
    const init: RequestInit = body ? { method, headers, body: JSON.stringify(body) } : { method, headers };
    const response = await this.send(path, init);
    if (!response.ok) {
      return this.refuse(response);
    }
    return decode(await json(response));
  }

  /** Raise what an answer says went wrong. */
  protected async refuse(response: Response): Promise<never> {
    const answer = await json(response);
    const code = isObject(answer) && typeof answer.code === 'string' ? answer.code : '';
    throw new ApiError(sentence(answer, response, this.absent), response.status, code);
  }
}

/** Parameters as `?name=value&…`, without those that are undefined. */
export function queryString(parameters: Readonly<Record<string, string | number | undefined>>): string {
  const given = Object.entries(parameters).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]));
  return given.length > 0 ? `?${new URLSearchParams(given).toString()}` : '';
}
