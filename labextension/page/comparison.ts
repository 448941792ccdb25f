/**
 * What tells runs apart. Pure.
 */

import type { Run } from '../src/decode';
import { isOwnSeries } from '../src/live';
import { byWeight, formatValue } from '../src/runs';
import { polarity } from './runTable';

/** One row of a comparison: a cell per run. */
export interface Line {
  readonly name: string;
  readonly label: string;
  readonly cells: readonly (string | number)[];
  /** Which run has the best value, where better has a meaning and one is. */
  readonly best: number | undefined;
}

/** Rows of a comparison. */
export interface Comparison {
  readonly settings: readonly Line[];
  readonly metrics: readonly Line[];
  readonly alike: readonly Line[];
}

/** Put runs side by side. */
export function comparison(runs: readonly Run[]): Comparison {
  const fields: readonly (readonly [string, (run: Run) => string])[] = [
    ['namespace', run => run.namespace],
    ['owner', run => run.owner],
    ['group', run => run.group],
    ['framework', run => run.framework]
  ];
  const rank = (name: string): number => (name.startsWith('params.') ? 0 : name.startsWith('tags.') ? 1 : 2);
  const names = [...new Set(runs.flatMap(run => [...run.metadata.keys()]))].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
  const lines: Line[] = [
    ...names.map(name => ({
      name,
      label: name.replace(/^params\./, ''),
      cells: runs.map(run => (run.metadata.has(name) ? formatValue(run.metadata.get(name)) : '')),
      best: undefined
    })),
    ...fields.map(([name, read]) => ({ name, label: name, cells: runs.map(read), best: undefined }))
  ];
  const differs = ({ cells }: Line): boolean => cells.some(cell => cell !== cells[0]);
  const keys = [...new Set(runs.flatMap(run => run.metrics.map(metric => metric.key)))].filter(key => !isOwnSeries(key)).sort(byWeight);
  return {
    settings: lines.filter(differs),
    metrics: keys.map(key => metricLine(runs, key)),
    alike: lines.filter(line => !differs(line) && line.cells[0] !== '')
  };
}

function metricLine(runs: readonly Run[], key: string): Line {
  const cells = runs.map(run => run.metrics.find(metric => metric.key === key)?.last ?? '');
  return { name: key, label: key, cells, best: bestOf(cells, polarity(key)) };
}

function bestOf(cells: readonly (string | number)[], mode: 'min' | 'max' | null): number | undefined {
  let best: number | undefined;
  const known = cells.filter((cell): cell is number => typeof cell === 'number' && !Number.isNaN(cell));
  if (mode === null || new Set(known).size < 2) {
    return undefined;
  }
  const wanted = mode === 'min' ? Math.min(...known) : Math.max(...known);
  cells.forEach((cell, i) => {
    if (cell === wanted) {
      best ??= i;
    }
  });
  return best;
}
