/**
 * What the panel says about runs: order, words and numbers. Pure.
 */

import { isObject, wireFloat } from './checks';
import type { MetricSummary, Run } from './decode';

/** Runs of one namespace. */
export interface RunGroup {
  readonly namespace: string;
  readonly runs: readonly Run[];
}

const MAIN_METRICS = [/acc/i, /auc/i, /f1/i, /r2/i, /score/i, /loss/i, /err/i, /rmse|mse|mae/i];
const VALIDATION = /val|test|eval/i;

/** Runs that match every word of `filter`, grouped by namespace; groups and runs keep the order in which they came (newest first). */
export function groupRuns(runs: readonly Run[], filter: string): RunGroup[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const groups = new Map<string, Run[]>();
  for (const run of runs) {
    const haystack = words.length > 0 ? searchText(run) : '';
    if (words.every(word => haystack.includes(word))) {
      const group = groups.get(run.namespace);
      if (group) {
        group.push(run);
      } else {
        groups.set(run.namespace, [run]);
      }
    }
  }
  return [...groups].map(([namespace, members]) => ({ namespace, runs: members }));
}

function searchText(run: Run): string {
  const params = entries(run, 'params.').map(([name, value]) => `${name}=${formatValue(value)}`);
  return [run.name, run.namespace, run.status, run.owner, run.group, run.framework, run.id, ...tags(run), ...params].join('\n').toLowerCase();
}

/** Metadata below a prefix, without the prefix, by name. */
export function entries(run: Run, prefix: string): [string, unknown][] {
  return [...run.metadata]
    .filter(([key]) => key.startsWith(prefix))
    .map(([key, value]): [string, unknown] => [key.slice(prefix.length), value])
    .sort(([a], [b]) => a.localeCompare(b));
}

/**
 * What tells runs of one name apart: the parameters in which they differ, by run id.
 *
 * A search starts the same name over and over; its parameters are what people look for.
 */
export function differences(runs: readonly Run[], atMost = 3): ReadonlyMap<string, readonly (readonly [string, string])[]> {
  const values = new Map<string, Map<string, Set<string>>>();
  for (const run of runs) {
    const ofName = values.get(run.name) ?? new Map<string, Set<string>>();
    values.set(run.name, ofName);
    for (const [name, value] of entries(run, 'params.')) {
      ofName.set(name, (ofName.get(name) ?? new Set()).add(formatValue(value)));
    }
  }
  return new Map(
    runs.map(run => {
      const params = entries(run, 'params.').filter(([name]) => (values.get(run.name)?.get(name)?.size ?? 0) > 1);
      return [run.id, params.slice(0, atMost).map(([name, value]) => [name, formatValue(value)] as const)];
    })
  );
}

/** Tags of a run. */
export function tags(run: Run): string[] {
  return entries(run, 'tags.')
    .filter(([, value]) => value !== false)
    .map(([name]) => name);
}

/** The few metrics that say most about a run: scores before losses, held-out data before training data. */
export function mainMetrics(run: Run, atMost = 2): MetricSummary[] {
  return run.metrics
    .filter(metric => typeof metric.last === 'number')
    .sort((a, b) => byWeight(a.key, b.key))
    .slice(0, atMost);
}

/** Orders keys of metrics by how much they say about a run. */
export function byWeight(a: string, b: string): number {
  return rank(a) - rank(b) || a.localeCompare(b);
}

function rank(key: string): number {
  const kind = MAIN_METRICS.findIndex(pattern => pattern.test(key));
  return (kind < 0 ? MAIN_METRICS.length : kind) * 2 + (VALIDATION.test(key) ? 0 : 1);
}

/** A number with four digits that count. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) {
    return Number.isNaN(value) ? 'NaN' : value > 0 ? '∞' : '−∞';
  }
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-3 || size >= 1e6)) {
    return value.toExponential(2).replace('e+', 'e').replaceAll('-', '−');
  }
  return String(Number(value.toPrecision(Number.isInteger(value) ? 6 : 4))).replace('-', '−');
}

/** Any metadata value as short text. */
export function formatValue(value: unknown): string {
  const plain = isObject(value) && '$float' in value ? wireFloat(value.$float) : value; // how NaN travels within metadata
  if (Number.isSafeInteger(plain)) {
    return String(plain).replace('-', '−');
  }
  return typeof plain === 'number' ? formatNumber(plain) : typeof plain === 'string' ? plain : JSON.stringify(plain);
}

/** How long ago something was, in a word or two. */
export function formatAge(then: Date, now: Date): string {
  const seconds = Math.max(0, (now.getTime() - then.getTime()) / 1000);
  if (seconds < 10) {
    return 'now';
  }
  return seconds < 60 * 60 * 24 * 14 ? formatDuration(seconds) : then.toLocaleDateString();
}

/** A duration in its largest unit. */
export function formatDuration(seconds: number): string {
  const units: [number, string][] = [
    [60 * 60 * 24, 'd'],
    [60 * 60, 'h'],
    [60, 'min']
  ];
  for (const [size, unit] of units) {
    if (seconds >= size) {
      return `${Math.floor(seconds / size)} ${unit}`;
    }
  }
  return `${seconds < 10 ? Number(seconds.toFixed(1)) : Math.floor(seconds)} s`;
}

/** Python that gets hold of a run. Ids are hex digits; anything else would not be ours to put into code. */
export function codeFor(run: Run): string {
  const id = run.id.replace(/[^0-9A-Za-z-]/g, '');
  return `import modelbox\n\nrun = modelbox.experiment("${id}")\nrun.all_metrics()`;
}
