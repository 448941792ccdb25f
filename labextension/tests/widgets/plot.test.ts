import { describe, expect, it } from 'vitest';

import * as plot from '../../../widgets/modelbox_widgets/static/plot.js';

describe('ticks', () => {
  it('are round, within the bounds, and about as many as asked for', () => {
    for (const [low, high] of [
      [0, 1],
      [-3.7, 1234.5],
      [1e-9, 2e-9],
      [-1e300, 1e300],
      [999_999, 1_000_001]
    ] as const) {
      const ticks = plot.linearTicks(low, high, 5);
      expect(ticks.length).toBeGreaterThanOrEqual(2);
      expect(ticks.length).toBeLessThanOrEqual(11);
      expect(ticks.every(tick => tick >= low && tick <= high)).toBe(true);
    }
    expect(plot.linearTicks(0, 10, 5)).toEqual([0, 2, 4, 6, 8, 10]);
    expect(plot.linearTicks(3, 3, 5)).toEqual([3]);
  });

  it('of a logarithmic scale are powers of ten, with steps between where there are few', () => {
    expect(plot.logTicks(0.001, 1000)).toEqual([0.001, 0.01, 0.1, 1, 10, 100, 1000]);
    expect(plot.logTicks(1, 10)).toEqual([1, 2, 5, 10]);
    expect(plot.logTicks(1e-200, 1e200).length).toBeLessThan(12);
    expect(plot.logTicks(3.1, 3.4).length).toBeGreaterThan(1);
  });

  it('have texts that say how much', () => {
    expect(plot.stepText(1_234_567)).toBe('1,234,567');
    expect([3.14159, 90, 600, 7200, 400_000].map(plot.durationText)).toEqual(['3.14 s', '90 s', '10 min', '2 h', '4.63 d']);
  });
});

describe('smoothing', () => {
  it('of a constant changes nothing, from the first point on', () => {
    const smooth = [...Array.from(plot.smoothed(new Float64Array([2, 2, 2, 2]), 0.9))];
    smooth.forEach(value => expect(value).toBeCloseTo(2, 12));
  });

  it('is the mean of what came, the newer the weightier', () => {
    const [first, second, third] = Array.from(plot.smoothed(new Float64Array([0, 1, NaN]), 0.5));
    expect(first).toBe(0);
    expect(second).toBeCloseTo(2 / 3, 12);
    expect(third).toBeNaN();
  });

  it('goes on after what is not finite', () => {
    expect(plot.smoothed(new Float64Array([1, Infinity, 1]), 0.9)[2]).toBeCloseTo(1, 12);
  });
});

describe('a window', () => {
  const x = new Float64Array([0, 1, 2, 3, 4, 5]);

  it('shows the points inside and one beyond each edge', () => {
    expect(plot.indicesWithin(x, [1.5, 3.5])).toEqual([1, 5]);
    expect(plot.indicesWithin(x, [-9, 99])).toEqual([0, 6]);
    expect(plot.indicesWithin(new Float64Array(), [0, 1])).toEqual([0, 0]);
  });

  it('finds the nearest point', () => {
    expect([-1, 0.4, 0.6, 4.6, 9].map(value => plot.nearestIndex(x, value))).toEqual([0, 0, 1, 5, 5]);
    expect(plot.nearestIndex([], 1)).toBe(-1);
  });

  it('never leaves the bounds, whatever is asked of it', () => {
    expect(plot.zoomed([0, 100], 50, 0.5, [0, 100], 1)).toEqual([25, 75]);
    expect(plot.zoomed([0, 100], 50, 4, [0, 100], 1)).toEqual([0, 100]);
    expect(plot.zoomed([10, 12], 11, 0.001, [0, 100], 2)).toEqual([10, 12]);
    expect(plot.moved([10, 20], -50, [0, 100])).toEqual([0, 10]);
    expect(plot.moved([10, 20], 500, [0, 100])).toEqual([90, 100]);
  });
});

describe('a scale', () => {
  it('takes bounds to pixels, also those of huge numbers', () => {
    const huge = plot.scale([-1.7e308, 1.7e308], [100, 0], false);
    expect([huge(-1.7e308), huge(0), huge(1.7e308)]).toEqual([100, 50, 0]);
    const log = plot.scale([1, 100], [0, 10], true);
    expect(log(10)).toBeCloseTo(5, 12);
  });

  it('has room around what is drawn, and around a single value', () => {
    expect(plot.padded([5, 5], false)).toEqual([4.5, 5.5]);
    expect(plot.padded([0, 0], false)).toEqual([-1, 1]);
    const [low, high] = plot.padded([0, 1], false);
    expect(low).toBeLessThan(0);
    expect(high).toBeGreaterThan(1);
    expect(plot.padded([-1.7e308, 1.7e308], false).every(Number.isFinite)).toBe(true);
  });

  it('is made of what can be drawn on it', () => {
    const y = [NaN, -1, 3, Infinity, 0.5];
    expect(plot.extent(y, 0, 5, false)).toEqual([-1, 3]);
    expect(plot.extent(y, 0, 5, true)).toEqual([0.5, 3]);
    expect(plot.extent([NaN, -1], 0, 2, true)).toBeUndefined();
  });
});
