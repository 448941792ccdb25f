/**
 * The answers of the ModelBox API that the extension reads, and how they are checked.
 *
 * Whatever comes over the wire is `unknown` until one of these functions has looked at it.
 */

import { count, list, object, text, textOr, time, UnexpectedAnswer, wireFloat } from './checks';

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

/** A page of runs as it travels: `row` is the index of the experiment that a key and a value belong to. */
export interface FrameColumns {
  readonly experiments: readonly Experiment[];
  readonly metadata: { readonly row: readonly number[]; readonly key: readonly string[]; readonly value: readonly unknown[] };
  readonly metrics: {
    readonly row: readonly number[];
    readonly key: readonly string[];
    readonly count: readonly number[];
    readonly lastStep: readonly number[];
    readonly last: readonly (number | string | null)[];
    readonly min: readonly (number | null)[];
    readonly max: readonly (number | null)[];
  };
  /** Columns that the query chose; metadata and metrics are empty then. */
  readonly shown: readonly { readonly label: string; readonly kind: string; readonly values: readonly unknown[] }[];
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

const STATUSES: ReadonlySet<string> = new Set<Status>(['running', 'finished', 'failed', 'interrupted']);

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

/** Decode a page of experiments with their metadata and metric summaries, column by column. */
export function decodeColumns(value: unknown): FrameColumns {
  const frame = object(value, 'frame');
  const part = (name: string): ((column: string) => readonly unknown[]) => {
    const columns = object(frame[name], name);
    return column => list(columns[column], `${name}.${column}`);
  };
  const [metadata, metrics] = [part('metadata'), part('metrics')];
  const numbers = (values: readonly unknown[], where: string): number[] => values.map(item => count(item, where));
  const texts = (values: readonly unknown[], where: string): string[] => values.map(item => text(item, where));
  return {
    experiments: list(frame.experiments, 'experiments').map((item, i) => decodeExperiment(item, `experiments[${i}]`)),
    metadata: {
      row: numbers(metadata('row'), 'metadata.row'),
      key: texts(metadata('key'), 'metadata.key'),
      value: metadata('value')
    },
    metrics: {
      row: numbers(metrics('row'), 'metrics.row'),
      key: texts(metrics('key'), 'metrics.key'),
      count: numbers(metrics('count'), 'metrics.count'),
      lastStep: numbers(metrics('last_step'), 'metrics.last_step'),
      last: metrics('last').map(last => wireFloat(last) ?? (typeof last === 'string' ? last : null)),
      min: metrics('min').map(wireFloat),
      max: metrics('max').map(wireFloat)
    },
    shown: (Array.isArray(frame.shown) ? frame.shown : []).map((item, i) => {
      const column = object(item, `shown[${i}]`);
      return {
        label: text(column.label, `shown[${i}].label`),
        kind: text(column.kind, `shown[${i}].kind`),
        values: list(column.values, `shown[${i}].values`)
      };
    }),
    nextPageToken: typeof frame.next_page_token === 'string' ? frame.next_page_token : null
  };
}

/** Decode a page of experiments with their metadata and metric summaries. */
export function decodeFrame(value: unknown): RunPage {
  const frame = decodeColumns(value);
  return { runs: runsOf(frame), nextPageToken: frame.nextPageToken };
}

/** The runs of a page, each with what belongs to it. */
export function runsOf(frame: FrameColumns): Run[] {
  const runs = frame.experiments.map(experiment => ({ ...experiment, metadata: new Map<string, unknown>(), metrics: new Array<MetricSummary>() }));
  const entries = frame.metadata;
  entries.row.forEach((row, i) => runs[row]?.metadata.set(entries.key[i] ?? '', entries.value[i]));
  const columns = frame.metrics;
  columns.row.forEach((row, i) => {
    runs[row]?.metrics.push({
      key: columns.key[i] ?? '',
      count: columns.count[i] ?? 0,
      lastStep: columns.lastStep[i] ?? 0,
      last: columns.last[i] ?? null,
      min: columns.min[i] ?? null,
      max: columns.max[i] ?? null
    });
  });
  return runs;
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
