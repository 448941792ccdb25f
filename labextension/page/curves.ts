/**
 * The chart of one metric, as plain data. Names of runs and metrics are only ever data.
 */

import type { Spec } from '../src/chart';

/** Colours of runs, in order; those of `modelbox_widgets`, which are told apart on light and dark ground, and by colour-blind eyes. */
export const COLOURS: readonly string[] = [
  ...['#2f7ed8', '#f58518', '#8000ff', '#bfb47c', '#bf0000', '#73584b', '#e695bd', '#4b5873', '#95a3e6', '#7f66ff']
];

/** What the x axis counts. */
export type Axis = 'step' | 'time';

/** How curves are drawn. */
export interface CurveOptions {
  /** Labels of the runs, in the order of their colours. */
  readonly runs: readonly string[];
  readonly height: number;
  readonly isLog: boolean;
  readonly axis: Axis;
}

/** The colour of the run at a place in the order. */
export function colourAt(place: number): string {
  return COLOURS[place % COLOURS.length] ?? '#808080';
}

/** One line per run. Pointing at it finds the nearest point. */
export function curveSpec({ runs, height, isLog, axis }: CurveOptions): Spec {
  const x =
    axis === 'step'
      ? { field: 'step', type: 'quantitative', scale: { nice: false }, axis: { title: null, tickMinStep: 1, tickCount: 6, format: ',d', grid: false } }
      : { field: 'wall_ms', type: 'temporal', axis: { title: null, tickCount: 6, grid: false } };
  const y = {
    field: 'value',
    type: 'quantitative',
    scale: isLog ? { type: 'log' } : { zero: false },
    axis: { title: null, tickCount: 5, domain: false, ticks: false }
  };
  const color = { field: 'run', type: 'nominal', scale: { domain: runs, range: runs.map((_, i) => colourAt(i)) }, legend: null };
  const tooltip = [
    ...(runs.length > 1 ? [{ field: 'run', type: 'nominal' }] : []),
    { field: 'step', type: 'quantitative', format: ',d' },
    { field: 'value', type: 'quantitative', format: '.5~g' },
    ...(axis === 'time' ? [{ field: 'wall_ms', type: 'temporal', title: 'time', format: '%H:%M:%S' }] : [])
  ];
  const drawable = isLog ? [{ filter: { field: 'value', gt: 0 } }] : [];
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    width: 'container',
    height,
    autosize: { type: 'fit-x', contains: 'padding', resize: true },
    config: { view: { stroke: null }, axis: { labelFontSize: 11 } },
    data: { name: 'points', values: [] },
    layer: [
      { transform: drawable, mark: { type: 'line', strokeWidth: 1.7, strokeJoin: 'round', clip: true }, encoding: { x, y, color } },
      {
        transform: drawable,
        params: [{ name: 'near', select: { type: 'point', on: 'pointermove', clear: 'pointerout', nearest: true } }],
        mark: { type: 'point', filled: true, size: 46, clip: true },
        encoding: { x, y, color, tooltip, opacity: { value: 0, condition: { param: 'near', empty: false, value: 1 } } }
      },
      {
        // A line of one point is not to be seen.
        transform: [...drawable, { joinaggregate: [{ op: 'count', as: 'points' }], groupby: ['run'] }, { filter: { field: 'points', equal: 1 } }],
        mark: { type: 'point', filled: true, size: 46 },
        encoding: { x, y, color }
      },
      {
        // NaN and infinities have no place on the scale: a red tick on the ground line says at which step they were logged.
        transform: [{ filter: { not: { field: 'value', valid: true } } }],
        mark: { type: 'tick', color: '#e45756', thickness: 2, height: 10, orient: 'vertical' },
        encoding: { x, y: { value: height }, tooltip: tooltip.slice(0, -1) }
      }
    ]
  };
}
