import { describe, expect, it } from 'vitest';

import { UnexpectedAnswer, wireFloat } from '../src/checks';
import { decodeCounts, decodeExperiment, decodeFrame, decodeMetrics } from '../src/decode';

const RECORD = {
  id: 'a'.repeat(40),
  name: 'digits <b>',
  namespace: 'équipe/vision',
  status: 'running',
  owner: 'ada',
  started_at: '2026-11-23T10:00:00.123456Z',
  finished_at: null
};

describe('floats of the wire', () => {
  it.each([
    ['NaN', Number.NaN],
    ['Infinity', Number.POSITIVE_INFINITY],
    ['-Infinity', Number.NEGATIVE_INFINITY],
    [0.5, 0.5]
  ])('reads %s', (wire, number) => expect(wireFloat(wire)).toBe(number));

  it('does not take other text for a number', () => {
    expect(wireFloat('1')).toBeNull();
    expect(wireFloat(null)).toBeNull();
  });
});

describe('experiments', () => {
  it('are read with their times', () => {
    const experiment = decodeExperiment(RECORD);
    expect(experiment.namespace).toBe('équipe/vision');
    expect(experiment.startedAt.toISOString()).toBe('2026-11-23T10:00:00.123Z');
    expect(experiment.finishedAt).toBeNull();
  });

  it.each([[{ ...RECORD, status: 'lost' }], [{ ...RECORD, id: 1 }], [{ ...RECORD, started_at: 'yesterday' }], [[]], [null], ['text']])(
    'are refused when they are none: %j',
    value => expect(() => decodeExperiment(value)).toThrow(UnexpectedAnswer)
  );
});

describe('frames', () => {
  it('bring metadata and metrics to their rows, whatever their order', () => {
    const page = decodeFrame({
      experiments: [RECORD, { ...RECORD, id: 'b'.repeat(40), name: 'second' }],
      metadata: { row: [1, 0, 1], key: ['params.lr', 'tags.base', 'params.lr'], value: [0.1, true, 0.2] },
      metrics: {
        row: [1, 0],
        key: ['val/loss @1', 'note'],
        count: [3, 1],
        last_step: [2, 0],
        last: ['NaN', 'good'],
        min: [-1, null],
        max: ['Infinity', null],
        mean: [null, null]
      },
      next_page_token: 'more'
    });
    expect(page.nextPageToken).toBe('more');
    expect(page.runs[1]?.metadata.get('params.lr')).toBe(0.2);
    expect(page.runs[0]?.metadata.get('tags.base')).toBe(true);
    expect(page.runs[1]?.metrics[0]).toMatchObject({ key: 'val/loss @1', last: Number.NaN, min: -1, max: Number.POSITIVE_INFINITY });
    expect(page.runs[0]?.metrics[0]?.last).toBe('good');
  });

  it('say what is missing', () => {
    expect(() => decodeFrame({ experiments: [] })).toThrow('without an object in “metadata”');
  });
});

describe('points', () => {
  it('keep their columns together', () => {
    const block = { object_id: 'x', key: 'k', kind: 'float', values: [1, 'NaN'], steps: [0, 1], wall_times_us: [1_500_000, 2_000_000] };
    const [series] = decodeMetrics({ series: [block] });
    expect(series).toEqual({ objectId: 'x', key: 'k', isFloat: true, values: [1, Number.NaN], steps: [0, 1], wallTimesMs: [1500, 2000] });
    expect(() => decodeMetrics({ series: [{ ...block, steps: [0] }] })).toThrow('columns of one length');
  });

  it('of text are counted but have no numbers', () => {
    const [series] = decodeMetrics({
      series: [{ object_id: 'x', key: 'k', kind: 'text', values: ['NaN'], steps: [0], wall_times_us: [0] }]
    });
    expect(series).toMatchObject({ isFloat: false, values: [null] });
  });

  it('are counted per object and key', () => {
    const counts = decodeCounts({ series: [{ object_id: 'x', key: 'k', kind: 'float', count: 7 }] });
    expect(counts.get('x')?.get('k')).toBe(7);
  });
});
