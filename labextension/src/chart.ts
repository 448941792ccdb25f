/**
 * A chart on the page whose rows come and go: drawn by Vega, redrawn for another theme, as wide as its place.
 */

import { isObject } from './checks';
import type { Row } from './rows';
import { onThemeChange } from './theme';
import type { Result, VisualizationSpec } from './vegaEngine';
import { loadEngine } from './vegaLoader';

/** A Vega-Lite chart as plain data. */
export type Spec = Readonly<Record<string, unknown>>;

const DEFAULT_DATA = 'points';

/** Shows one chart at a time in its `node`. */
export class Chart {
  readonly node = document.createElement('div');
  private readonly stopWatchingTheme: () => void;
  private readonly resizes = new ResizeObserver(() => this.fitWidth());
  private spec: Spec = {};
  private rows: readonly Row[] | undefined;
  private isTrusted = false;
  private drawn: Result | undefined;
  private drawings = 0;
  private isDisposed = false;

  constructor() {
    this.node.className = 'mb-Chart-host';
    this.stopWatchingTheme = onThemeChange(() => void this.draw());
    this.resizes.observe(this.node);
  }

  /** Show a chart; a chart that is not trusted reaches nothing outside itself. With `rows`, those are its data, or the first of them. */
  async show(spec: Spec, isTrusted: boolean, rows?: readonly Row[]): Promise<void> {
    this.spec = spec;
    this.rows = rows;
    this.isTrusted = isTrusted;
    await this.draw();
  }

  /** Show these rows too, or instead of all others. */
  async put(rows: readonly Row[], replace: boolean): Promise<void> {
    this.rows = replace || !this.rows ? [...rows] : [...this.rows, ...rows];
    if (!this.drawn) {
      return;
    }
    const { changeset } = await loadEngine();
    const changes = changeset();
    // Vega writes an identity into each row, so that it gets copies.
    const copies = rows.map(row => ({ ...row }));
    await this.drawn.view.change(dataName(this.spec), (replace ? changes.remove(() => true) : changes).insert(copies)).runAsync();
  }

  /** Show a sentence instead of a chart. */
  fail(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    const note = document.createElement('div');
    note.className = 'mb-Chart-error';
    note.textContent = `The chart could not be drawn: ${message}`;
    this.node.replaceChildren(note);
  }

  /** Charts as wide as their container follow it; Vega itself only looks at the window. */
  fitWidth(): void {
    if (this.drawn && this.spec.width === 'container') {
      const width = this.drawn.view.container()?.clientWidth ?? 0;
      if (width > 0) {
        void this.drawn.view.signal('width', width).runAsync();
      }
    }
  }

  /** Give everything back. */
  dispose(): void {
    this.isDisposed = true;
    this.stopWatchingTheme();
    this.resizes.disconnect();
    this.drawn?.finalize();
    this.drawn = undefined;
  }

  /** Draw beside the old picture and swap when ready, so that nothing flickers. */
  private async draw(): Promise<void> {
    const drawing = ++this.drawings;
    const host = document.createElement('div');
    host.className = 'mb-Chart-view';
    this.node.append(host);
    try {
      const { draw } = await loadEngine();
      const drawn = await draw(host, withRows(this.spec, this.rows), this.isTrusted, this.rows !== undefined);
      if (drawing !== this.drawings || this.isDisposed) {
        drawn.finalize();
        host.remove();
        return;
      }
      this.drawn?.finalize();
      this.drawn = drawn;
      this.node.replaceChildren(host);
      this.fitWidth();
    } catch (error) {
      host.remove();
      if (drawing === this.drawings && !this.isDisposed) {
        this.fail(error);
      }
    }
  }
}

/** The name of the data that a chart draws. */
export function dataName(spec: Spec): string {
  return isObject(spec.data) && typeof spec.data.name === 'string' ? spec.data.name : DEFAULT_DATA;
}

/** The chart with these rows as its data; a deep copy, since Vega writes into what it is given and outputs are frozen. */
function withRows(spec: Spec, rows: readonly Row[] | undefined): VisualizationSpec {
  const copy: unknown = structuredClone(rows ? { ...spec, data: { name: dataName(spec), values: rows } } : spec);
  return copy as VisualizationSpec;
}
