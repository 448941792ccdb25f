import { describe, expect, it } from 'vitest';

import { Series, stepsToFetch } from '../../../widgets/modelbox_widgets/static/series.js';

/** A buffer as it arrives: at an odd place of a message. */
function buffer(values: readonly number[]): DataView {
  const bytes = new Uint8Array(8 * values.length + 1);
  bytes.set(new Uint8Array(new Float64Array(values).buffer), 1);
  return new DataView(bytes.buffer, 1);
}

function columns(steps: readonly number[], values: readonly number[], first = 0): DataView[] {
  return [buffer(steps), buffer(steps.map(step => first + 1000 * step)), buffer(values)];
}

const LOSS = { run: 'r', key: 'loss' };

function known(steps: readonly number[], values: readonly number[], count = steps.length): Series {
  const series = new Series();
  series.replace({ number: 1, series: [{ ...LOSS, count }] }, columns(steps, values));
  return series;
}

function xy(series: Series, axis: 'step' | 'time' = 'step'): number[][] {
  const line = series.line('r', 'loss', axis);
  return line ? [Array.from(line.x), Array.from(line.y)] : [];
}

describe('increments', () => {
  it('extend what is known, and those that come twice change nothing', () => {
    const series = known([0, 1], [5, 4]);
    expect(series.add({ number: 2, series: [LOSS] }, columns([2], [3]))).toBe(true);
    expect(series.add({ number: 2, series: [LOSS] }, columns([2], [3]))).toBe(true);
    expect(xy(series)).toEqual([
      [0, 1, 2],
      [5, 4, 3]
    ]);
  });

  it('that miss one before them are refused', () => {
    const series = known([0], [1]);
    expect(series.add({ number: 3, series: [LOSS] }, columns([2], [3]))).toBe(false);
    expect(xy(series)).toEqual([[0], [1]]);
  });

  it('may name series that are new, with names of any kind', () => {
    const series = known([0], [1]);
    series.add({ number: 2, series: [{ run: '__proto__', key: '","' }] }, columns([0], [7]));
    expect(series.keys()).toEqual(['","', 'loss']);
    expect(Array.from(series.line('__proto__', '","', 'step')?.y ?? [])).toEqual([7]);
  });

  it('are drawn in ascending order, whatever order they came in', () => {
    const series = known([3, 1, 2, 1], [30, 10, 20, 11]);
    expect(xy(series)).toEqual([
      [1, 1, 2, 3],
      [10, 11, 20, 30]
    ]);
  });
});

describe('time', () => {
  it('is counted from the first point of the run, in whichever series', () => {
    const series = new Series();
    series.replace({ number: 1, series: [LOSS, { run: 'r', key: 'acc' }] }, [...columns([5, 6], [1, 2], 1e12), ...columns([2], [9], 1e12)]);
    expect(xy(series, 'time')).toEqual([
      [3, 4],
      [1, 2]
    ]);
  });
});

describe('detail', () => {
  const far = [0, 100, 200, 300, 400];

  it('takes the place of the same steps, and is forgotten again', () => {
    const series = known(far, [0, 1, 2, 3, 4], 401);
    series.addDetail([100, 200], [LOSS], columns([100, 150, 200], [1, 9, 2]));
    expect(xy(series)).toEqual([
      [0, 100, 150, 200, 300, 400],
      [0, 1, 9, 2, 3, 4]
    ]);
    series.forgetDetails();
    expect(xy(series)[0]).toEqual(far);
  });

  it('is asked for with a neighbour on each side, and only where points are missing', () => {
    const series = known(far, [0, 1, 2, 3, 4], 401);
    const line = series.line('r', 'loss', 'step');
    expect(line && stepsToFetch([line], [140, 160])).toEqual([100, 200]);
    expect(line && stepsToFetch([line], [100, 200])).toEqual([0, 300]);
    expect(line && stepsToFetch([line], [-50, -10])).toBeUndefined();
    const whole = known(far, [0, 1, 2, 3, 4]).line('r', 'loss', 'step');
    expect(whole && stepsToFetch([whole], [140, 160])).toBeUndefined();
  });

  it('stays while the series grows behind it', () => {
    const series = known(far, [0, 1, 2, 3, 4], 401);
    series.addDetail([100, 200], [LOSS], columns([100, 150, 200], [1, 9, 2]));
    series.add({ number: 2, series: [LOSS] }, columns([500], [5]));
    expect(xy(series)[0]).toEqual([0, 100, 150, 200, 300, 400, 500]);
  });
});
