import { describe, expect, it } from 'vitest';

import { csvLine } from '../../../widgets/modelbox_widgets/static/menu.js';
import { moved, Selected, windowOf } from '../../../widgets/modelbox_widgets/static/rows.js';
import { agoText, bestRow, Column, difference, durationText, sortedRows } from '../../../widgets/modelbox_widgets/static/runs_data.js';
import type { Head } from '../../../widgets/modelbox_widgets/static/runs_data.js';

/** A view at an odd place of a message, as they come. */
function view(array: Float64Array | Int32Array): DataView {
  const bytes = new Uint8Array(array.byteLength + 3);
  bytes.set(new Uint8Array(array.buffer), 3);
  return new DataView(bytes.buffer, 3);
}

function numbers(values: number[], change: Partial<Head> = {}): Column {
  const head: Head = { name: 'metrics.loss', label: 'loss', kind: 'number', group: 'metric', mode: 'min', ...change };
  return new Column(head, null, view(Float64Array.from(values)));
}

function texts(values: string[], codes: number[]): Column {
  const head: Head = { name: 'params.opt', label: 'opt', kind: 'text', group: 'setting', mode: null };
  return new Column(head, values, view(Int32Array.from(codes)));
}

describe('sorting', () => {
  it('keeps equal rows as they are, and puts NaN last in both directions', () => {
    const column = numbers([2, Number.NaN, 1, 2, Number.POSITIVE_INFINITY, 1]);
    expect(sortedRows(column, [0, 1, 2, 3, 4, 5], true)).toEqual([2, 5, 0, 3, 4, 1]);
    expect(sortedRows(column, [0, 1, 2, 3, 4, 5], false)).toEqual([4, 0, 3, 2, 5, 1]);
  });

  it('sorts text as people do, what is missing last', () => {
    const column = texts(['run-10', 'run-9', 'Run-1'], [0, 1, -1, 2]);
    expect(sortedRows(column, [0, 1, 2, 3], true)).toEqual([3, 1, 0, 2]);
  });

  it('sorts 10,000 rows in a moment', () => {
    const column = numbers(Array.from({ length: 10_000 }, (_, i) => (i * 7919) % 10_007));
    const rows = sortedRows(column, [...Array(10_000).keys()], true);
    expect(rows.every((row, i) => i === 0 || (column.numbers[rows[i - 1] ?? 0] ?? 0) <= (column.numbers[row] ?? 0))).toBe(true);
  });
});

describe('values', () => {
  it('are written for people', () => {
    const column = numbers([0.123456, Number.NaN, Number.NEGATIVE_INFINITY, 1797, 1e-9]);
    expect([0, 1, 2, 3, 4].map(row => column.text(row, 0))).toEqual(['0.1235', 'NaN', '-∞', '1797', '1e-9']);
    expect(column.exact(0)).toBe('0.123456');
    expect(numbers([Number.NaN], { group: 'setting' }).text(0, 0)).toBe('');
    expect(texts(['</script>'], [0, -1]).text(1, 0)).toBe('');
  });

  it('say how long ago and how long', () => {
    const now = Date.UTC(2026, 10, 25, 12);
    const ago = (seconds: number): string => agoText(now - seconds * 1000, now);
    expect([5, 300, 7200, 200_000, 9e6, -9e6].map(ago)).toEqual(['just now', '5 min ago', '2 h ago', '2 d ago', '2026-08-13', '2027-03-09']);
    expect([0.25, 42, 61, 4000].map(durationText)).toEqual(['0.3 s', '42 s', '1 min 1 s', '1 h 6 min']);
  });

  it('are compared with a baseline by what is better', () => {
    const loss = numbers([0.5, 0.25, 0.5, Number.NaN]);
    expect(difference(loss, 1, 0)).toEqual({ text: '−0.25', verdict: 'better' });
    expect(difference(loss, 0, 1)).toEqual({ text: '+0.25', verdict: 'worse' });
    expect(difference(loss, 2, 0)).toEqual({ text: '±0', verdict: 'equal' });
    expect(difference(loss, 3, 0)).toBeUndefined();
    expect(difference(numbers([1, 2], { mode: null }), 1, 0)?.verdict).toBe('unknown');
    expect(bestRow(loss, [0, 1, 2, 3])).toBe(1);
    expect(bestRow(numbers([1, 1]), [0, 1])).toBeUndefined();
  });

  it('leave no formula to a spreadsheet', () => {
    expect(csvLine(['=cmd()', '-0.5', 'a,"b"', '@x', '-1+2'])).toBe(`'=cmd(),-0.5,"a,""b""",'@x,'-1+2`);
  });
});

describe('the rows of a long table', () => {
  it('are drawn where they can be seen', () => {
    expect(windowOf(0, 280, 28, 10_000)).toEqual({ first: 0, end: 16 });
    expect(windowOf(28_000, 280, 28, 10_000)).toEqual({ first: 994, end: 1016 });
    expect(windowOf(1e9, 280, 28, 3)).toEqual({ first: 2, end: 3 });
    expect(windowOf(0, 280, 28, 0)).toEqual({ first: 0, end: 0 });
  });

  it('are selected one by one, together, and in stretches of what is shown', () => {
    const order = [4, 2, 0, 3, 1];
    const selected = new Selected();
    selected.only(2);
    selected.extend(3, order);
    expect([...selected.rows]).toEqual([2, 0, 3]);
    selected.toggle(0);
    selected.toggle(4);
    expect([...selected.rows].sort()).toEqual([2, 3, 4]);
    selected.extend(9, order);
    expect([...selected.rows]).toEqual([9]);
  });

  it('are reached by keys', () => {
    const size = { rows: 100, columns: 5, page: 10 };
    const keys = ['ArrowDown', 'PageDown', 'End', 'ArrowUp', 'Home', 'ArrowUp', 'ArrowUp', 'ArrowRight'];
    let at = { row: 0, column: 4 };
    const rows = keys.map(key => (at = moved(key, at, size) ?? at).row);
    expect(rows).toEqual([1, 11, 99, 98, 0, -1, -1, -1]);
    expect(at.column).toBe(4);
    expect(moved('x', at, size)).toBeUndefined();
  });
});
