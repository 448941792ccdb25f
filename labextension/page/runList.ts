/**
 * The list of runs that answers a query: its first rows at once, the rest page after page, and then whatever is new. No page, no DOM.
 */

import type { FrameColumns } from '../src/decode';
import type { FrameQuery } from './pageApi';
import { MAX_PAGE } from './pageApi';
import { RunTable } from './runTable';

/** Where runs come from. */
export interface RunSource {
  frame(query: FrameQuery): Promise<FrameColumns>;
}

/** How far a list has come. */
export interface ListState {
  /** Undefined until the first answer. */
  readonly loaded: number | undefined;
  readonly isComplete: boolean;
  /** There are more than are kept; a query narrows them. */
  readonly isCut: boolean;
  readonly error: string | undefined;
}

/** Rows of the first page: enough for a screen, soon there. */
export const FIRST_ROWS = 100;
/** Rows kept at most. */
export const MOST_ROWS = 20_000;
const FEW_ROWS = 200;
const MOST_RUNNING = 200;

/** Runs that match a query. */
export class RunList {
  readonly table = new RunTable();
  /** Called after each answer. */
  onChange: () => void = () => undefined;
  state: ListState = { loaded: undefined, isComplete: false, isCut: false, error: undefined };
  private isStopped = false;
  private isBusy = false;

  constructor(
    private readonly source: RunSource,
    readonly query: string
  ) {}

  /** Read everything, page after page. */
  async load(): Promise<void> {
    if (this.isBusy || this.isStopped) {
      return;
    }
    this.isBusy = true;
    try {
      let page = await this.ask({ limit: FIRST_ROWS });
      let order = this.table.add(page);
      this.table.arrange(order);
      while (page.nextPageToken !== null && order.length < MOST_ROWS && !this.isStopped) {
        this.set({ loaded: order.length, error: undefined });
        page = await this.ask({ limit: MAX_PAGE, pageToken: page.nextPageToken });
        const known = new Set(order);
        order = [...order, ...this.table.add(page).filter(row => !known.has(row))];
        this.table.arrange(order);
      }
      this.set({ loaded: order.length, isComplete: true, isCut: page.nextPageToken !== null, error: undefined });
    } catch (error) {
      this.fail(error);
    } finally {
      this.isBusy = false;
    }
  }

  /** Read what may have changed: the top of the list, and the runs that still run. Starts over where nothing has been read yet. */
  async refresh(): Promise<void> {
    if (this.isBusy || this.isStopped) {
      return;
    }
    if (!this.state.isComplete) {
      return this.load();
    }
    this.isBusy = true;
    try {
      const { table } = this;
      const isShort = table.order.length <= FEW_ROWS;
      const page = await this.ask({ limit: isShort ? MAX_PAGE : FIRST_ROWS });
      const top = table.add(page);
      if (page.nextPageToken === null) {
        table.arrange(top);
      } else {
        const known = new Set(top);
        const rest = table.order.filter(row => !known.has(row));
        const gone = await this.refreshRunning(rest);
        table.arrange([...top, ...rest.filter(row => !gone.has(row))]);
      }
      this.set({ loaded: table.order.length, error: undefined });
    } catch (error) {
      this.fail(error);
    } finally {
      this.isBusy = false;
    }
  }

  /** Take no more notice of answers. */
  stop(): void {
    this.isStopped = true;
  }

  /** Read those of `rows` anew that run; returns those that no longer match, or are no more. */
  private async refreshRunning(rows: readonly number[]): Promise<ReadonlySet<number>> {
    const { table } = this;
    const running = rows.filter(row => table.experiments[row]?.status === 'running').slice(0, MOST_RUNNING);
    if (running.length === 0) {
      return new Set();
    }
    const ids = running.flatMap(row => table.experiments[row]?.id ?? []);
    const found = new Set(table.add(await this.ask({ limit: MAX_PAGE, ids })));
    return new Set(running.filter(row => !found.has(row)));
  }

  private ask(query: FrameQuery): Promise<FrameColumns> {
    return this.source.frame({ ...query, q: this.query });
  }

  private fail(error: unknown): void {
    this.set({ error: error instanceof Error ? error.message : String(error) });
  }

  private set(change: Partial<ListState>): void {
    this.state = { ...this.state, ...change };
    if (!this.isStopped) {
      this.onChange();
    }
  }
}
