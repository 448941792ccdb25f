import { describe, expect, it } from 'vitest';

import { textOf } from '../../page/artifacts';
import { comparison } from '../../page/comparison';
import { changeLines } from '../../page/history';
import type { Run } from '../../src/decode';

function run(id: string, metadata: Readonly<Record<string, unknown>>, metrics: Readonly<Record<string, number | string | null>>): Run {
  return {
    ...{ id, name: id, namespace: 'équipe/vision', owner: '', status: 'finished', framework: '', group: '' },
    ...{ startedAt: new Date(0), finishedAt: null, metadata: new Map(Object.entries(metadata)) },
    metrics: Object.entries(metrics).map(([key, last]) => ({ key, count: 1, lastStep: 0, last, min: null, max: null }))
  };
}

describe('a comparison', () => {
  const compared = comparison([
    run('a', { 'params.lr': 0.1, 'params.net': 'mlp' }, { loss: 0.5, note: 'x', 'system/cpu': 1 }),
    run('b', { 'params.lr': 0.1, 'params.net': 'cnn', 'tags.best': true }, { loss: 0.25, accuracy: NaN })
  ]);

  it('keeps apart what differs and what does not', () => {
    expect(compared.settings.map(line => [line.label, ...line.cells])).toEqual([
      ['net', 'mlp', 'cnn'],
      ['tags.best', '', 'true']
    ]);
    expect(compared.alike.map(line => line.label)).toEqual(['lr', 'namespace']);
  });

  it('marks the best where better has a meaning', () => {
    const best = new Map(compared.metrics.map(line => [line.name, line.best]));
    expect(best).toEqual(new Map([...(['accuracy', 'note'] as const).map(key => [key, undefined] as const), ['loss', 1]]));
  });
});

describe('what changed', () => {
  it('is said field by field', () => {
    expect(changeLines({ payload: { old: { status: 'running' }, new: { status: 'finished', finished_at: 't' } } })).toEqual([
      'status: running → finished',
      'finished_at: nothing → t'
    ]);
    const metadata = { old: { metadata: { 'params.lr': 1, gone: 2 } }, new: { metadata: { 'params.lr': 3 } } };
    expect(changeLines({ payload: metadata })).toEqual(['params.lr: 1 → 3', 'gone: 2 → nothing']);
    expect(changeLines({ payload: { new: { id: 'x', name: 'model.bin', uri: 's3://x' } } })).toEqual(['name: model.bin', 'uri: s3://x']);
  });
});

describe('bytes', () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

  it('are shown as text only when they are text, whole or cut within a character', () => {
    expect(textOf(bytes('naïve <b>'), 10)).toEqual({ text: 'naïve <b>', isCut: false });
    expect(textOf(bytes('é').subarray(0, 1), 9)).toEqual({ text: '', isCut: true });
    for (const binary of [new Uint8Array([0xff, 0xfe]), bytes('a\0b')]) {
      expect(textOf(binary, binary.length)).toHaveProperty('nothing');
    }
  });
});
