import { describe, expect, it } from 'vitest';

import type { MetricSummary, Run } from '../src/decode';
import { codeFor, differences, formatAge, formatDuration, formatNumber, formatValue, groupRuns, mainMetrics, tags } from '../src/runs';

function run(change: Partial<Run> = {}): Run {
  return {
    id: 'c0ffee',
    name: 'digits',
    namespace: 'équipe/vision',
    owner: 'ada',
    status: 'finished',
    framework: 'sklearn',
    group: '',
    startedAt: new Date('2026-11-23T10:00:00Z'),
    finishedAt: null,
    metadata: new Map<string, unknown>([
      ['params.lr', 0.01],
      ['tags.baseline', true],
      ['tags.old', false]
    ]),
    metrics: [],
    ...change
  };
}

function metric(key: string, last: number | string = 1): MetricSummary {
  return { key, count: 1, lastStep: 0, last, min: null, max: null };
}

describe('the filter', () => {
  it.each(['', 'digits', 'DIGITS ada', 'équipe', 'baseline', 'lr=0.01', 'finished c0ff'])('%j finds the run', filter =>
    expect(groupRuns([run()], filter)).toHaveLength(1)
  );

  it.each(['digits bob', 'lr=0.02', 'old'])('%j does not', filter => expect(groupRuns([run()], filter)).toHaveLength(0));
});

it('groups keep the order in which their newest run came', () => {
  const groups = groupRuns([run({ namespace: 'b' }), run({ namespace: 'a' }), run({ namespace: 'b' })], '');
  expect(groups.map(group => [group.namespace, group.runs.length])).toEqual([
    ['b', 2],
    ['a', 1]
  ]);
});

it('scores and held-out data come first among metrics, text never', () => {
  const metrics = ['z', 'train/loss', 'val/loss @1', 'accuracy', 'val/accuracy'].map(key => metric(key));
  const chosen = mainMetrics(run({ metrics: [...metrics, metric('test/accuracy', 'text')] }), 3);
  expect(chosen.map(one => one.key)).toEqual(['val/accuracy', 'accuracy', 'val/loss @1']);
});

it('runs of one name are told apart by the parameters in which they differ', () => {
  const params = (lr: number): ReadonlyMap<string, unknown> =>
    new Map<string, unknown>([
      ['params.lr', lr],
      ['params.epochs', 15]
    ]);
  const runs = [run({ id: 'a', metadata: params(0.1) }), run({ id: 'b', metadata: params(0.2) }), run({ id: 'c', name: 'other' })];
  expect([...differences(runs)]).toEqual([
    ['a', [['lr', '0.1']]],
    ['b', [['lr', '0.2']]],
    ['c', []]
  ]);
});

it('a tag that was set to false is none', () => expect(tags(run())).toEqual(['baseline']));

it.each([
  [0, '0'],
  [0.123456, '0.1235'],
  [1234567, '1.23e6'],
  [-0.00001234, '−1.23e−5'],
  [150000, '150000'],
  [Number.NaN, 'NaN'],
  [Number.NEGATIVE_INFINITY, '−∞']
])('the number %s is shown as %s', (value, shown) => expect(formatNumber(value)).toBe(shown));

it.each([
  [{ $float: '-Infinity' }, '−∞'],
  ['text', 'text'],
  [25276502016, '25276502016'],
  [[1, 'a'], '[1,"a"]'],
  [null, 'null']
])('the metadata %j is shown as %s', (value, shown) => expect(formatValue(value)).toBe(shown));

it('ages and durations are a word or two', () => {
  const now = new Date('2026-11-23T12:30:00Z');
  expect(formatAge(new Date('2026-11-23T12:29:55Z'), now)).toBe('now');
  expect(formatAge(new Date('2026-11-23T10:00:00Z'), now)).toBe('2 h');
  expect(formatAge(new Date('2026-11-23T12:31:00Z'), now)).toBe('now');
  expect(formatDuration(3.14159)).toBe('3.1 s');
  expect(formatDuration(90)).toBe('1 min');
});

it('code is made of the id alone, whatever the server says it is', () => {
  expect(codeFor(run({ id: 'ab12")\nimport os #' }))).toContain('experiment("ab12importos")');
});
