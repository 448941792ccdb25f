import { describe, expect, it } from 'vitest';

import type { PointsQuery } from '../src/api';
import type { Experiment, Series, Status } from '../src/decode';
import { Follower, liveSettings, MAX_POINTS, THINNED_POINTS } from '../src/live';
import type { LiveSink, LiveSource, LiveState } from '../src/live';
import { labelsOf } from '../src/rows';
import type { Row } from '../src/rows';

const ID = 'a'.repeat(40);
const KEY = 'val/loss @1';

/** A server with one experiment, whose points the test adds. */
class FakeServer implements LiveSource {
  values: number[] = [];
  key = KEY;
  status: Status = 'running';
  failure: Error | undefined;
  readonly queries: PointsQuery[] = [];

  experiment(id: string): Promise<Experiment> {
    if (this.failure) {
      return Promise.reject(this.failure);
    }
    const startedAt = new Date(0);
    const rest = { namespace: 'équipe/vision', owner: '', framework: '', group: '', startedAt, finishedAt: null };
    return Promise.resolve({ id, name: 'digits', status: this.status, ...rest });
  }

  counts(): Promise<ReadonlyMap<string, ReadonlyMap<string, number>>> {
    return Promise.resolve(new Map([[ID, new Map([[KEY, this.values.length]])]]));
  }

  points(query: PointsQuery): Promise<readonly Series[]> {
    this.queries.push(query);
    if (this.failure) {
      return Promise.reject(this.failure);
    }
    const from = query.skip?.[ID]?.[KEY] ?? 0;
    const values = this.values.slice(from).slice(0, query.maxPoints);
    const steps = values.map((_, i) => from + i);
    return Promise.resolve(values.length > 0 ? [{ objectId: ID, key: this.key, isFloat: true, steps, wallTimesMs: steps, values }] : []);
  }
}

/** A chart that only remembers its rows. */
class FakeChart implements LiveSink {
  rows: Row[] = [];
  states: LiveState[] = [];
  replaced = 0;
  visible = true;

  replace(rows: readonly Row[]): Promise<void> {
    this.rows = [...rows];
    this.replaced += 1;
    return Promise.resolve();
  }

  insert(rows: readonly Row[]): Promise<void> {
    this.rows.push(...rows);
    return Promise.resolve();
  }

  isVisible(): boolean {
    return this.visible;
  }

  show(state: LiveState): void {
    this.states.push(state);
  }

  get state(): string | undefined {
    return this.states.at(-1)?.kind;
  }
}

/** A follower whose clock the test turns by hand. */
function follow(labels: ReadonlyMap<string, string> = new Map()) {
  const server = new FakeServer();
  const chart = new FakeChart();
  const delays: number[] = [];
  let pending: (() => void) | undefined;
  const schedule = (callback: () => void, delayMs: number): (() => void) => {
    pending = callback;
    delays.push(delayMs);
    return () => (pending = undefined);
  };
  const follower = new Follower({ objects: [ID], keys: null, intervalMs: 500 }, server, chart, labels, schedule);
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) {
      await Promise.resolve();
    }
  };
  const tick = async (times = 1): Promise<void> => {
    for (let i = 0; i < times; i++) {
      const callback = pending;
      pending = undefined;
      callback?.();
      await settle();
    }
  };
  return { server, chart, follower, delays, tick, isWaiting: () => pending !== undefined };
}

describe('settings in the metadata of an output', () => {
  it('are read', () => {
    const metadata = { modelbox: { live: { objects: [ID], keys: [KEY], interval_ms: 1 } } };
    expect(liveSettings(metadata)).toEqual({ objects: [ID], keys: [KEY], intervalMs: 200 });
  });

  it.each([undefined, null, {}, { modelbox: 1 }, { modelbox: { live: {} } }, { modelbox: { live: { objects: [] } } }])(
    '%j does not ask to be followed',
    metadata => expect(liveSettings(metadata)).toBeUndefined()
  );
});

describe('a running experiment', () => {
  it('is read from the start once, then only what is new', async () => {
    const { server, chart, follower, tick } = follow();
    server.values = [3, 2];
    await follower.start();
    server.values.push(1, Number.NaN);
    await tick();
    expect(server.queries.map(query => query.skip)).toEqual([{}, { [ID]: { [KEY]: 2 } }]);
    expect(chart.rows.map(row => row.value)).toEqual([3, 2, 1, null]);
    expect(chart.replaced).toBe(1);
    expect(chart.state).toBe('running');
  });

  it('shows nothing of what ModelBox logs by itself about the machine', async () => {
    const { server, chart, follower } = follow();
    server.key = 'system/cpu_percent';
    server.values = [1, 2];
    await follower.start();
    expect(chart.rows).toEqual([]);
  });

  it('keeps the label that the saved chart gave it', async () => {
    const saved = labelsOf([{ run: 'my digits', run_id: ID }, 'junk', { run: 3 }]);
    const { server, chart, follower } = follow(saved);
    server.values = [1];
    await follower.start();
    expect(chart.rows[0]?.run).toBe('my digits');
  });

  it('ends with every point that was logged before its end', async () => {
    const { server, chart, follower, tick, isWaiting } = follow();
    server.values = [1];
    await follower.start();
    server.values.push(2, 3);
    server.status = 'finished';
    await tick(10);
    expect(chart.rows.map(row => row.value)).toEqual([1, 2, 3]);
    expect(chart.state).toBe('ended');
    expect(isWaiting()).toBe(false);
  });

  it('is read thinned, as a whole, once it is long', async () => {
    const { server, chart, follower, tick } = follow();
    server.values = new Array<number>(MAX_POINTS).fill(0);
    await follower.start();
    expect(chart.rows).toHaveLength(MAX_POINTS);
    server.values.push(1);
    await tick();
    expect(chart.rows).toHaveLength(THINNED_POINTS);
    const asked = server.queries.length;
    await tick(3);
    expect(server.queries).toHaveLength(asked); // nothing grew, nothing is read
    server.values.push(2);
    await tick();
    expect(server.queries.at(-1)).toEqual({ objects: [ID], keys: null, maxPoints: THINNED_POINTS });
  });

  it('that is long from the start is never read whole', async () => {
    const { server, follower } = follow();
    server.values = new Array<number>(MAX_POINTS + 1).fill(0);
    await follower.start();
    expect(server.queries.map(query => query.maxPoints)).toEqual([THINNED_POINTS]);
  });

  it('costs nothing while nobody sees it', async () => {
    const { server, chart, follower, tick } = follow();
    chart.visible = false;
    await follower.start();
    await tick(3);
    expect(server.queries).toHaveLength(0);
    chart.visible = true;
    await tick();
    expect(server.queries).toHaveLength(1);
  });
});

describe('a server that does not answer', () => {
  it('is asked less and less often, and followed again when it is back', async () => {
    const { server, chart, follower, delays, tick } = follow();
    server.failure = new Error('The Jupyter server cannot be reached.');
    await follower.start();
    await tick(8);
    expect(chart.states.at(-1)).toEqual({ kind: 'waiting', reason: 'The Jupyter server cannot be reached.' });
    expect(delays.slice(0, 3)).toEqual([1000, 2000, 4000]);
    expect(Math.max(...delays)).toBe(10_000);
    server.failure = undefined;
    server.values = [1];
    await tick();
    expect(chart.rows).toHaveLength(1);
    expect(chart.state).toBe('running');
  });

  it('is left alone when the experiment is gone', async () => {
    const { server, chart, follower, isWaiting } = follow();
    server.failure = Object.assign(new Error('There is no such experiment.'), { status: 404 });
    await follower.start();
    expect(chart.state).toBe('gone');
    expect(isWaiting()).toBe(false);
  });
});

it('a stopped follower stays silent, even when an answer was on its way', async () => {
  const { server, chart, follower, isWaiting } = follow();
  server.values = [1];
  const started = follower.start();
  follower.stop();
  await started;
  expect(chart.rows).toHaveLength(0);
  expect(chart.states).toHaveLength(0);
  expect(isWaiting()).toBe(false);
});
