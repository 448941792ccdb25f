/**
 * Draws outputs of type `application/vnd.vegalite.v6+json`, and keeps the ones that ask for it live.
 *
 * JupyterLab itself only knows Vega-Lite 5. The rank goes before the widget manager's (-10), so that a bundle that carries both a chart and
 * a widget is drawn here: unlike a widget, this outlives the kernel.
 */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { Api } from './api';
import { isObject } from './decode';
import { Follower, liveSettings } from './live';
import type { LiveSettings, LiveSink, LiveState } from './live';
import { labelsOf } from './rows';
import type { Row } from './rows';
import { onThemeChange } from './theme';
import type { Result, VisualizationSpec } from './vegaEngine';
import { loadEngine, provideEngine } from './vegaLoader';

/** The MIME type of Vega-Lite 6 charts. */
export const MIME_TYPE = 'application/vnd.vegalite.v6+json';

const RANK = -20;
const DEFAULT_DATA = 'points';

type Spec = Readonly<Record<string, unknown>>;

/** Shows one chart. */
export class ChartRenderer extends Widget implements IRenderMime.IRenderer {
  private readonly chart = document.createElement('div');
  private readonly status = document.createElement('div');
  private readonly stopWatchingTheme: () => void;
  private readonly resizes = new ResizeObserver(() => this.fitWidth());
  private spec: Spec = {};
  private shape = '';
  private rows: readonly Row[] | undefined;
  private isTrusted = false;
  private drawn: Result | undefined;
  private drawings = 0;
  private follower: Follower | undefined;

  constructor(private readonly api: Api) {
    super();
    this.addClass('mb-Chart');
    this.chart.className = 'mb-Chart-host';
    this.status.className = 'mb-Chart-status';
    this.status.setAttribute('role', 'status');
    this.status.hidden = true;
    this.node.append(this.chart, this.status);
    this.stopWatchingTheme = onThemeChange(() => void this.draw());
    this.resizes.observe(this.node);
  }

  /** Show the chart of an output; called again when the output is updated in place. */
  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const spec = model.data[MIME_TYPE];
    if (!isObject(spec)) {
      this.fail(new Error('This output holds no Vega-Lite chart: its data should be a JSON object.'));
      return;
    }
    const metadata = model.metadata[MIME_TYPE];
    const live = model.trusted ? liveSettings(metadata) : undefined;
    const shape = JSON.stringify([{ ...spec, data: dataName(spec) }, live ?? null]);
    if (live && this.follower && shape === this.shape) {
      return; // a newer snapshot of what is being followed anyway
    }
    this.follower?.stop();
    this.follower = undefined;
    this.spec = spec;
    this.shape = shape;
    this.rows = undefined;
    this.isTrusted = model.trusted;
    this.status.hidden = true;
    await this.draw();
    if (live && !this.isDisposed) {
      this.follow(live);
    }
  }

  override dispose(): void {
    this.follower?.stop();
    this.stopWatchingTheme();
    this.resizes.disconnect();
    this.drawn?.finalize();
    super.dispose();
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this.fitWidth();
  }

  /** Draw beside the old picture and swap when ready, so that nothing flickers. */
  private async draw(): Promise<void> {
    const drawing = ++this.drawings;
    const host = document.createElement('div');
    host.className = 'mb-Chart-view';
    this.chart.append(host);
    try {
      const { draw } = await loadEngine();
      const drawn = await draw(host, withRows(this.spec, this.rows), this.isTrusted);
      if (drawing !== this.drawings || this.isDisposed) {
        drawn.finalize();
        host.remove();
        return;
      }
      this.drawn?.finalize();
      this.drawn = drawn;
      this.chart.replaceChildren(host);
      this.fitWidth();
    } catch (error) {
      host.remove();
      if (drawing === this.drawings && !this.isDisposed) {
        this.fail(error);
      }
    }
  }

  private follow(settings: LiveSettings): void {
    const sink: LiveSink = {
      replace: rows => this.put(rows, true),
      insert: rows => this.put(rows, false),
      isVisible: () => !document.hidden && this.node.isConnected && this.node.offsetParent !== null,
      show: state => this.showState(state)
    };
    const schedule = (callback: () => void, delayMs: number): (() => void) => {
      const timer = window.setTimeout(callback, delayMs);
      return () => window.clearTimeout(timer);
    };
    const { data } = this.spec;
    const labels = labelsOf(isObject(data) ? data.values : undefined);
    this.follower = new Follower(settings, this.api, sink, labels, schedule);
    void this.follower.start();
  }

  private async put(rows: readonly Row[], replace: boolean): Promise<void> {
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

  private showState(state: LiveState): void {
    const texts: Record<LiveState['kind'], string> = { running: 'live', ended: '', waiting: 'waiting', gone: 'not followed' };
    this.status.hidden = state.kind === 'ended';
    this.status.dataset.state = state.kind;
    const text = 'reason' in state ? `${texts[state.kind]}: ${state.reason}` : texts[state.kind];
    if (this.status.textContent !== text) {
      this.status.textContent = text;
    }
  }

  private fail(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    const note = document.createElement('div');
    note.className = 'mb-Chart-error';
    note.textContent = `The chart could not be drawn: ${message}`;
    this.chart.replaceChildren(note);
  }

  /** Charts as wide as their container follow it; Vega itself only looks at the window. */
  private fitWidth(): void {
    if (this.drawn && this.spec.width === 'container') {
      const width = this.drawn.view.container()?.clientWidth ?? 0;
      if (width > 0) {
        void this.drawn.view.signal('width', width).runAsync();
      }
    }
  }
}

function dataName(spec: Spec): string {
  return isObject(spec.data) && typeof spec.data.name === 'string' ? spec.data.name : DEFAULT_DATA;
}

/** The chart with these rows as its data; a deep copy, since Vega writes into what it is given and outputs are frozen. */
function withRows(spec: Spec, rows: readonly Row[] | undefined): VisualizationSpec {
  const copy: unknown = structuredClone(rows ? { ...spec, data: { name: dataName(spec), values: rows } } : spec);
  return copy as VisualizationSpec;
}

/** Registers the renderer. */
export const mimePlugin: JupyterFrontEndPlugin<void> = {
  id: 'modelbox-labextension:charts',
  description: 'Draws Vega-Lite 6 charts and keeps those of running experiments live.',
  autoStart: true,
  requires: [IRenderMimeRegistry],
  activate: (app: JupyterFrontEnd, registry: IRenderMimeRegistry): void => {
    const api = new Api(app.serviceManager.serverSettings);
    // Safe: expressions are interpreted, and a chart that is not trusted reaches nothing outside itself.
    registry.addFactory({ safe: true, mimeTypes: [MIME_TYPE], createRenderer: () => new ChartRenderer(api) }, RANK);
    provideEngine();
  }
};
