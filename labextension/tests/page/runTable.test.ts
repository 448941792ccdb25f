import { describe, expect, it } from 'vitest';

import type { FrameQuery } from '../../page/pageApi';
import { RunList } from '../../page/runList';
import { polarity, RunTable } from '../../page/runTable';
import type { FrameColumns } from '../../src/decode';
import type { Status } from '../../src/decode';

/** A run as a test writes it. */
interface Fake {
  readonly id: string;
  readonly status?: Status;
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly last?: Readonly<Record<string, number | string | null>>;
}

function frame(runs: readonly Fake[], nextPageToken: string | null = null): FrameColumns {
  const settings = runs.flatMap(({ settings = {} }, row) => Object.entries(settings).map(([key, value]) => ({ row, key, value })));
  const lasts = runs.flatMap(({ last = {} }, row) => Object.entries(last).map(([key, value]) => ({ row, key, value })));
  const numbers = lasts.map(({ value }) => (typeof value === 'number' ? value : null));
  return {
    experiments: runs.map(({ id, status = 'finished' }) => ({
      ...{ id, name: `run ${id}`, namespace: 'équipe/vision', owner: '', status, framework: '', group: '' },
      ...{ startedAt: new Date(0), finishedAt: status === 'running' ? null : new Date(5000) }
    })),
    metadata: { row: settings.map(one => one.row), key: settings.map(one => one.key), value: settings.map(one => one.value) },
    metrics: {
      ...{ row: lasts.map(one => one.row), key: lasts.map(one => one.key), count: lasts.map(() => 1), lastStep: lasts.map(() => 0) },
      ...{ last: lasts.map(one => one.value), min: numbers, max: numbers }
    },
    shown: [],
    nextPageToken
  };
}

describe('a table of runs', () => {
  it('shows what differs, and what tells most', () => {
    const table = new RunTable();
    const runs = [1, 2, 3].map(i => ({
      id: String(i),
      settings: { 'params.lr': i / 10, 'params.net': 'mlp', 'git.commit': `c${i}` },
      last: { 'val/loss @1': i, 'system/cpu': i, 'console/out': 'text' }
    }));
    table.arrange(table.add(frame(runs)));
    expect(table.defaultColumns()).toEqual(['name', 'status', 'started_at', 'params.lr', 'metrics.val/loss @1.last', 'duration_s']);
    expect(table.heads().map(head => head.name)).toContain('params.net');
    expect(table.heads().map(head => head.name)).not.toContain('metrics.system/cpu.last');
  });

  it('keeps types apart, and missing values missing', () => {
    const table = new RunTable();
    table.add(frame([{ id: 'a', settings: { n: 1, f: 0.5, mixed: 1, nan: { $float: 'NaN' } } }, { id: 'b', settings: { mixed: 'x' } }]));
    const kind = (name: string): string | undefined => table.column(name)?.head.kind;
    expect(['n', 'f', 'mixed', 'nan'].map(kind)).toEqual(['integer', 'number', 'text', 'number']);
    expect([0, 1].map(row => table.column('f')?.text(row, 0))).toEqual(['0.5', '']);
    expect([0, 1].map(row => table.column('mixed')?.text(row, 0))).toEqual(['1', 'x']);
    expect(table.column('toString')).toBeUndefined();
  });

  it('shows NaN where it was logged, and nothing where nothing was', () => {
    const table = new RunTable();
    table.add(frame([{ id: 'a', last: { loss: Number.NaN } }, { id: 'b' }, { id: 'c', last: { loss: 0.5 } }]));
    expect([0, 1, 2].map(row => table.column('metrics.loss.last')?.text(row, 0))).toEqual(['NaN', '', '0.5']);
  });

  it('grows a version only when something that is seen changed', () => {
    const table = new RunTable();
    const run: Fake = { id: 'a', status: 'running', last: { loss: 1 }, settings: { list: [1, 2] } };
    table.arrange(table.add(frame([run])));
    const before = table.version;
    table.arrange(table.add(frame([run])));
    expect(table.version).toBe(before);
    table.add(frame([{ ...run, last: { loss: 0.5 } }]));
    expect(table.version).toBeGreaterThan(before);
    expect(table.column('metrics.loss.last')?.text(0, 0)).toBe('0.5');
  });

  it('takes the columns that a query chose', () => {
    const table = new RunTable();
    table.arrange(table.add({ ...frame([{ id: 'a' }]), shown: [{ label: 'age', kind: 'duration', values: [90_000_000] }] }));
    expect(table.defaultColumns()).toEqual(['name', 'show:age']);
    expect(table.column('show:age')?.text(0, 0)).toBe('1 min 30 s');
  });
});

describe('names of metrics', () => {
  it('tell what is better', () => {
    expect(['val/loss @1', 'testAccuracy', 'lr', 'r2', 'RMSE'].map(polarity)).toEqual(['min', 'max', null, 'max', 'min']);
  });
});

/** A server that gives pages of runs. */
class FakeServer {
  runs: Fake[] = [];
  failure: Error | undefined;
  readonly asked: FrameQuery[] = [];

  frame(query: FrameQuery): Promise<FrameColumns> {
    this.asked.push(query);
    if (this.failure) {
      return Promise.reject(this.failure);
    }
    if (query.ids) {
      return Promise.resolve(frame(this.runs.filter(run => query.ids?.includes(run.id))));
    }
    const start = Number(query.pageToken ?? 0);
    const end = start + query.limit;
    return Promise.resolve(frame(this.runs.slice(start, end), end < this.runs.length ? String(end) : null));
  }
}

function numbered(count: number): Fake[] {
  return Array.from({ length: count }, (_, i) => ({ id: String(count - i), last: { loss: i } }));
}

function shownIds(list: RunList): string[] {
  return list.table.order.map(row => list.table.experiments[row]?.id ?? '');
}

describe('a list of runs', () => {
  it('shows the first rows before the rest is there', async () => {
    const server = new FakeServer();
    server.runs = numbered(2500);
    const list = new RunList(server, '');
    const seen: unknown[] = [];
    list.onChange = () => seen.push([list.state.loaded, list.state.isComplete]);
    await list.load();
    expect(seen).toEqual([
      [100, false],
      [1100, false],
      [2100, false],
      [2500, true]
    ]);
    expect(shownIds(list)).toEqual(server.runs.map(run => run.id));
  });

  it('finds new runs, ends of runs and lost runs without reading everything again', async () => {
    const server = new FakeServer();
    server.runs = [...numbered(1200).map((run, i): Fake => (i === 700 || i === 800 ? { ...run, status: 'running' } : run))];
    const list = new RunList(server, 'q');
    await list.load();
    const gone = server.runs[800]!.id;
    server.runs = server.runs.map((run): Fake => (run.status === 'running' ? { ...run, status: 'finished' } : run)).filter(run => run.id !== gone);
    server.runs.unshift({ id: 'new' });
    server.asked.length = 0;
    await list.refresh();
    expect(shownIds(list)).toEqual(server.runs.map(run => run.id));
    expect(list.table.experiments.every(run => run.status === 'finished' || run.id === gone)).toBe(true);
    expect(server.asked).toEqual([
      { limit: 100, q: 'q' },
      { limit: 1000, ids: expect.arrayContaining([gone]), q: 'q' }
    ]);
  });

  it('says what the server says, and goes on from where it was', async () => {
    const server = new FakeServer();
    server.runs = numbered(3);
    server.failure = new Error('The store is being repaired: try again in a minute.');
    const list = new RunList(server, '');
    await list.refresh();
    expect(list.state).toMatchObject({ loaded: undefined, isComplete: false, error: server.failure.message });
    server.failure = undefined;
    await list.refresh();
    expect(list.state).toMatchObject({ loaded: 3, isComplete: true, error: undefined });
  });
});
