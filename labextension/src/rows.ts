/**
 * Rows of a live chart's data, and what is already known of each series. Pure.
 */

import { isObject } from './checks';
import type { Series } from './decode';

/** One point as the charts of ModelBox read it; see `modelbox_widgets` for the other writer of these rows. */
export interface Row {
  readonly run: string;
  readonly run_id: string;
  readonly key: string;
  readonly step: number;
  readonly wall_ms: number;
  readonly value: number | null;
}

/** Label of an object in the chart. */
export type Label = (objectId: string) => string;

/** Turn points into rows; what no axis can show (NaN, infinities) becomes a gap. */
export function rowsFrom(series: readonly Series[], label: Label): Row[] {
  return series
    .filter(one => one.isFloat)
    .flatMap(({ objectId, key, steps, wallTimesMs, values }) => {
      const run = label(objectId);
      return values.map((value, i) => ({
        run,
        run_id: objectId,
        key,
        step: steps[i] ?? i,
        wall_ms: wallTimesMs[i] ?? 0,
        value: value !== null && Number.isFinite(value) ? value : null
      }));
    });
}

/** Labels that the rows of a saved chart already use, by object. */
export function labelsOf(rows: unknown): ReadonlyMap<string, string> {
  const labels = new Map<string, string>();
  for (const row of Array.isArray(rows) ? rows : []) {
    if (isObject(row) && typeof row.run_id === 'string' && typeof row.run === 'string') {
      labels.set(row.run_id, row.run);
    }
  }
  return labels;
}

/** How many points of each series have been seen, in order of arrival. */
export class SeenPoints {
  private readonly counts = new Map<string, Map<string, { points: number; isFloat: boolean }>>();

  /** Count newly read points. */
  add(series: readonly Series[]): void {
    for (const { objectId, key, isFloat, values } of series) {
      const keys = this.counts.get(objectId) ?? new Map<string, { points: number; isFloat: boolean }>();
      this.counts.set(objectId, keys);
      const seen = keys.get(key);
      if (!seen || (isFloat && !seen.isFloat)) {
        keys.set(key, { points: values.length, isFloat });
      } else if (seen.isFloat === isFloat) {
        seen.points += values.length;
      }
    }
  }

  /** What to leave out of the next read. */
  skip(): Record<string, Record<string, number>> {
    return Object.fromEntries(
      [...this.counts].map(([id, keys]) => [id, Object.fromEntries([...keys].map(([key, seen]) => [key, seen.points]))])
    );
  }

  /** Length of the longest series. */
  longest(): number {
    return Math.max(0, ...[...this.counts.values()].flatMap(keys => [...keys.values()].map(seen => seen.points)));
  }
}
