import { describe, expect, it } from 'vitest';

import { Axis, brushedRows, coloursOf, gradientAt, nearestLine, nudged } from '../../../widgets/modelbox_widgets/static/axes.js';
import { meets } from '../../../widgets/modelbox_widgets/static/curves_view.js';
import { powerTicks, roundTicks } from '../../../widgets/modelbox_widgets/static/dom.js';
import { shortened } from '../../../widgets/modelbox_widgets/static/parallel_view.js';
import { Column } from '../../../widgets/modelbox_widgets/static/runs_data.js';
import type { Head } from '../../../widgets/modelbox_widgets/static/runs_data.js';

function axis(values: number[], change: Partial<Head> = {}): Axis {
  const head: Head = { name: 'params.lr', label: 'lr', kind: 'number', group: 'setting', mode: null, ...change };
  return new Axis(new Column(head, null, new DataView(Float64Array.from(values).buffer)), values.length);
}

function category(values: string[], codes: number[]): Axis {
  const head: Head = { name: 'params.opt', label: 'opt', kind: 'text', group: 'setting', mode: null };
  return new Axis(new Column(head, values, new DataView(Int32Array.from(codes).buffer)), codes.length);
}

describe('an axis', () => {
  it('places numbers from bottom to top, and better above', () => {
    expect([...axis([1, 3, 2]).shares]).toEqual([0, 1, 0.5]);
    expect([...axis([1, 3, 2], { mode: 'min' }).shares]).toEqual([1, 0, 0.5]);
    expect(axis([1, 3], { mode: 'min' }).valueAt(1)).toBe(1);
  });

  it('is logarithmic where numbers span two orders of magnitude', () => {
    const wide = axis([0.001, 0.1, 0.01]);
    expect(wide.isLog).toBe(true);
    expect([...wide.shares].map(share => Math.round(share * 100) / 100)).toEqual([0, 1, 0.5]);
    expect(wide.ticks().map(({ text }) => text)).toContain('0.01');
  });

  it('has no place for what is no number, and does not fall over huge ones', () => {
    const odd = axis([Number.NaN, Number.POSITIVE_INFINITY, -1.7e308, 1.7e308]);
    expect([...odd.shares]).toEqual([Number.NaN, Number.NaN, 0, 1]);
    expect(odd.hasMissing).toBe(true);
    expect([...axis([5, 5]).shares]).toEqual([0.5, 0.5]);
    expect([...axis([Number.NaN]).shares]).toEqual([Number.NaN]);
  });

  it('orders text, and says in words what a brush takes', () => {
    const opt = category(['sgd', 'adam', 'lion'], [0, 1, 2, -1]);
    expect([...opt.shares]).toEqual([1, 0, 0.5, Number.NaN]);
    expect(opt.rangeText([0.4, 1])).toBe('lion, sgd');
    expect(axis([0, 10], { mode: 'min' }).rangeText([0.5, 1])).toBe('0 to 5');
  });
});

describe('brushes', () => {
  const axes = [axis([0, 5, 10, Number.NaN]), category(['a', 'b'], [0, 1, 1, 1])];

  it('take the rows that are within all of them', () => {
    expect(brushedRows(axes, new Map(), 4)).toEqual([0, 1, 2, 3]);
    expect(brushedRows(axes, new Map([['params.lr', [0.5, 1]]]), 4)).toEqual([1, 2]);
    const both = new Map<string, [number, number]>([
      ['params.lr', [0, 0.5]],
      ['params.opt', [0.9, 1]]
    ]);
    expect(brushedRows(axes, both, 4)).toEqual([1]);
  });

  it('are moved by keys', () => {
    const none = { shiftKey: false, altKey: false };
    expect(nudged(undefined, 'ArrowDown', none, 20)).toEqual([0, 0.95]);
    expect(nudged([0, 0.95], 'ArrowUp', { ...none, shiftKey: true }, 20)).toEqual([0.05, 0.95]);
    expect(nudged([0.5, 0.9], 'ArrowUp', { ...none, altKey: true }, 4)).toEqual([0.6, 1]);
    expect(nudged([0.5, 0.5], 'ArrowDown', none, 20)).toEqual([0.5, 0.5]);
  });
});

describe('pointing', () => {
  it('finds the nearest line between two axes', () => {
    const [left, right] = [Float64Array.from([0, 100]), Float64Array.from([100, 0])];
    expect(nearestLine(left, right, 0.25, 27, 9)).toBe(0);
    expect(nearestLine(left, right, 0.25, 74, 9)).toBe(1);
    expect(nearestLine(left, right, 0.25, 50, 9)).toBeUndefined();
  });

  it('knows which lines go through a box', () => {
    const box = { left: 10, right: 20, top: 10, bottom: 20 };
    expect(meets([0, 0], [30, 30], box)).toBe(true);
    expect(meets([0, 15], [30, 15], box)).toBe(true);
    expect(meets([0, 0], [30, 5], box)).toBe(false);
    expect(meets([15, 15], [15, 15], box)).toBe(true);
    expect(meets([0, 0], [5, 5], box)).toBe(false);
  });
});

describe('what is written and coloured', () => {
  it('has round ticks', () => {
    expect(roundTicks(0.617, 0.925)).toEqual([0.7, 0.8, 0.9]);
    expect(roundTicks(0, 10)).toEqual([0, 2, 4, 6, 8, 10]);
    expect(powerTicks(0.0002, 1)).toEqual([0.001, 0.01, 0.1, 1]);
    expect(powerTicks(1e-300, 1e300)).toHaveLength(7);
    expect(powerTicks(2, 3)).toEqual([]);
    expect(roundTicks(3, 3)).toEqual([3]);
    expect(roundTicks(-1.7e308, 1.7e308).every(Number.isFinite)).toBe(true);
  });

  it('leaves out the middle of long names', () => {
    expect(shortened('learning_rate', 9)).toBe('lear…rate');
    expect(shortened('lr', 9)).toBe('lr');
  });

  it('goes from the worst to the best, and has grey for none', () => {
    expect(gradientAt(0)).toBe('rgb(59 130 246)');
    expect(gradientAt(1)).toBe('rgb(249 115 22)');
    expect(gradientAt(Number.NaN)).toBe('#8a8a8a');
    expect(coloursOf(3, undefined)).toEqual(['#4c78a8', '#f58518', '#54a24b']);
    expect(new Set(coloursOf(12, axis([...Array(12).keys()]))).size).toBe(12);
  });
});
