/**
 * The one place that talks to the ModelBox API of this Jupyter server.
 */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { decodeCounts, decodeExperiment, decodeFrame, decodeMetrics, isObject } from './decode';
import type { Experiment, RunPage, Series } from './decode';

/** An error with which the server answered; its message is the server's own sentence. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number
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

type Decoder<T> = (value: unknown) => T;

/** Send one request to `modelbox/api/v1/…` below the server's base URL and decode its JSON answer. */
async function request<T>(settings: ServerConnection.ISettings, path: string, decode: Decoder<T>, body?: object): Promise<T> {
  const url = URLExt.join(settings.baseUrl, 'modelbox', 'api/v1', path);
  const headers = { Accept: 'application/json', ...(body ? { 'Content-Type': 'application/json' } : {}) };
  const init: RequestInit = body ? { method: 'POST', headers, body: JSON.stringify(body) } : { method: 'GET', headers };
  let response: Response;
  try {
    response = await ServerConnection.makeRequest(url, init, settings);
  } catch (error) {
    if (error instanceof ServerConnection.NetworkError) {
      throw new ApiError('The Jupyter server cannot be reached: is it still running?', 0);
    }
    throw error;
  }
  const answer = await json(response);
  if (!response.ok) {
    throw new ApiError(sentence(answer, response), response.status);
  }
  return decode(answer);
}

async function json(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What went wrong, in the words of the server's `application/problem+json` (or of Jupyter's own JSON errors). */
function sentence(answer: unknown, response: Response): string {
  if (isObject(answer)) {
    for (const field of [answer.detail, answer.title, answer.message]) {
      if (typeof field === 'string' && field) {
        return field;
      }
    }
  }
  return response.status === 404
    ? 'This Jupyter server does not answer for ModelBox: is its server extension enabled (jupyter server extension list)?'
    : `The ModelBox server answered ${response.status} ${response.statusText}.`.replace(' .', '.');
}

/** What the extension asks of ModelBox. */
export class Api {
  constructor(readonly settings: ServerConnection.ISettings) {}

  /** The newest experiments with their metadata and metric summaries. */
  runs(limit: number, pageToken?: string): Promise<RunPage> {
    const query = URLExt.objectToQueryString({ limit: String(limit), ...(pageToken ? { page_token: pageToken } : {}) });
    return request(this.settings, `frames/experiments${query}`, decodeFrame);
  }

  /** One experiment. */
  experiment(id: string): Promise<Experiment> {
    return request(this.settings, `experiments/${encodeURIComponent(id)}`, value => decodeExperiment(value));
  }

  /** How many points each series of some objects has. */
  counts(objects: readonly string[]): Promise<ReadonlyMap<string, ReadonlyMap<string, number>>> {
    return request(this.settings, 'metrics/summaries', decodeCounts, { objects });
  }

  /** Points of many series. */
  points(query: PointsQuery): Promise<readonly Series[]> {
    const { objects, keys, maxPoints, skip } = query;
    const body = { objects, keys, ...(maxPoints === undefined ? {} : { max_points: maxPoints }), ...(skip ? { skip } : {}) };
    return request(this.settings, 'metrics/read', decodeMetrics, body);
  }
}
