/**
 * The answers of the ModelBox API that the extension reads, and how they are checked.
 *
 * Whatever comes over the wire is `unknown` until one of these functions has looked at it.
 */

/** Where an experiment stands. */
export type Status = 'running' | 'finished' | 'failed' | 'interrupted';

/** One training job. */
export interface Experiment {
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
  readonly owner: string;
  readonly status: Status;
  readonly framework: string;
  readonly group: string;
  readonly startedAt: Date;
  readonly finishedAt: Date | null;
}

/** Last value and bounds of one metric; numbers that are not finite stay what they are, text metrics have text as `last`. */
export interface MetricSummary {
  readonly key: string;
  readonly count: number;
  readonly lastStep: number;
  readonly last: number | string | null;
  readonly min: number | null;
  readonly max: number | null;
}

/** An experiment with everything that the panel shows of it. */
export interface Run extends Experiment {
  readonly metadata: ReadonlyMap<string, unknown>;
  readonly metrics: readonly MetricSummary[];
}

/** One page of runs. */
export interface RunPage {
  readonly runs: readonly Run[];
  readonly nextPageToken: string | null;
}

/** Points of one series, as columns of one length. Only floats can be drawn; the values of other kinds are left out as null. */
export interface Series {
  readonly objectId: string;
  readonly key: string;
  readonly isFloat: boolean;
  readonly steps: readonly number[];
  readonly wallTimesMs: readonly number[];
  readonly values: readonly (number | null)[];
}

/** The server answered with something that this extension does not understand. */
export class UnexpectedAnswer extends Error {
  constructor(where: string, wanted: string) {
    super(`The ModelBox server answered without ${wanted} in “${where}”: are the server and the lab extension of the same version?`);
    this.name = 'UnexpectedAnswer';
  }
}

const STATUSES: ReadonlySet<string> = new Set<Status>(['running', 'finished', 'failed', 'interrupted']);

/** Whether `value` is a JSON object. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function object(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (!isObject(value)) {
    throw new UnexpectedAnswer(where, 'an object');
  }
  return value;
}

function list(value: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(value)) {
    throw new UnexpectedAnswer(where, 'a list');
  }
  return value;
}

function text(value: unknown, where: string): string {
  if (typeof value !== 'string') {
    throw new UnexpectedAnswer(where, 'text');
  }
  return value;
}

function textOr(value: unknown, fallback: string): string {
  return typeof value === 'string' ? value : fallback;
}

function count(value: unknown, where: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new UnexpectedAnswer(where, 'a number');
  }
  return value;
}

function time(value: unknown, where: string): Date {
  const date = new Date(text(value, where));
  if (Number.isNaN(date.getTime())) {
    throw new UnexpectedAnswer(where, 'a time');
  }
  return date;
}

/** A float of the wire: a number, or the text “NaN”, “Infinity” or “-Infinity”. */
export function wireFloat(value: unknown): number | null {
  if (typeof value === 'number') {
    return value;
  }
  return value === 'NaN' || value === 'Infinity' || value === '-Infinity' ? Number(value) : null;
}

/** Decode an experiment record. */
export function decodeExperiment(value: unknown, where = 'experiment'): Experiment {
  const record = object(value, where);
  const status = text(record.status, `${where}.status`);
  if (!STATUSES.has(status)) {
    throw new UnexpectedAnswer(`${where}.status`, 'a known status');
  }
  return {
    id: text(record.id, `${where}.id`),
    name: text(record.name, `${where}.name`),
    namespace: text(record.namespace, `${where}.namespace`),
    owner: textOr(record.owner, ''),
    status: status as Status,
    framework: textOr(record.framework, ''),
    group: textOr(record.group, ''),
    startedAt: time(record.started_at, `${where}.started_at`),
    finishedAt: typeof record.finished_at === 'string' ? time(record.finished_at, `${where}.finished_at`) : null
  };
}

/** Decode a page of experiments with their metadata and metric summaries, which travel column by column. */
export function decodeFrame(value: unknown): RunPage {
  const frame = object(value, 'frame');
  const experiments = list(frame.experiments, 'experiments').map((item, i) => decodeExperiment(item, `experiments[${i}]`));
  const metadata = experiments.map(() => new Map<string, unknown>());
  const metrics = experiments.map(() => new Array<MetricSummary>());

  const entries = object(frame.metadata, 'metadata');
  const entryKeys = list(entries.key, 'metadata.key');
  const entryValues = list(entries.value, 'metadata.value');
  list(entries.row, 'metadata.row').forEach((row, i) => {
    metadata[count(row, 'metadata.row')]?.set(text(entryKeys[i], 'metadata.key'), entryValues[i]);
  });

  const columns = object(frame.metrics, 'metrics');
  const column = (name: string): readonly unknown[] => list(columns[name], `metrics.${name}`);
  const [keys, counts, lastSteps, lasts, mins, maxs] = ['key', 'count', 'last_step', 'last', 'min', 'max'].map(column);
  column('row').forEach((row, i) => {
    const last = lasts?.[i];
    metrics[count(row, 'metrics.row')]?.push({
      key: text(keys?.[i], 'metrics.key'),
      count: count(counts?.[i], 'metrics.count'),
      lastStep: count(lastSteps?.[i], 'metrics.last_step'),
      last: wireFloat(last) ?? (typeof last === 'string' ? last : null),
      min: wireFloat(mins?.[i]),
      max: wireFloat(maxs?.[i])
    });
  });

  return {
    runs: experiments.map((experiment, i) => ({ ...experiment, metadata: metadata[i] ?? new Map(), metrics: metrics[i] ?? [] })),
    nextPageToken: typeof frame.next_page_token === 'string' ? frame.next_page_token : null
  };
}

/** Decode blocks of points. */
export function decodeMetrics(value: unknown): readonly Series[] {
  return list(object(value, 'metrics').series, 'series').map((item, i) => {
    const block = object(item, `series[${i}]`);
    const isFloat = block.kind === undefined || block.kind === 'float';
    const values = list(block.values, `series[${i}].values`).map(value => (isFloat ? wireFloat(value) : null));
    const steps = list(block.steps, `series[${i}].steps`).map(step => count(step, `series[${i}].steps`));
    const wallTimesMs = list(block.wall_times_us, `series[${i}].wall_times_us`).map(us => count(us, `series[${i}].wall_times_us`) / 1000);
    if (steps.length !== values.length || wallTimesMs.length !== values.length) {
      throw new UnexpectedAnswer(`series[${i}]`, 'columns of one length');
    }
    return {
      objectId: text(block.object_id, `series[${i}].object_id`),
      key: text(block.key, `series[${i}].key`),
      isFloat,
      steps,
      wallTimesMs,
      values
    };
  });
}

/** Decode summaries of series into the number of points per object and key. */
export function decodeCounts(value: unknown): ReadonlyMap<string, ReadonlyMap<string, number>> {
  const counts = new Map<string, Map<string, number>>();
  list(object(value, 'summaries').series, 'series').forEach((item, i) => {
    const summary = object(item, `series[${i}]`);
    const objectId = text(summary.object_id, `series[${i}].object_id`);
    const keys = counts.get(objectId) ?? new Map<string, number>();
    const key = text(summary.key, `series[${i}].key`);
    keys.set(key, Math.max(keys.get(key) ?? 0, count(summary.count, `series[${i}].count`)));
    counts.set(objectId, keys);
  });
  return counts;
}
