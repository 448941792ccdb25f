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

import type { Api } from './api';
import { Chart, dataName } from './chart';
import type { Spec } from './chart';
import { isObject } from './checks';
import { jupyterApi } from './jupyter';
import { byTimeout, Follower, liveSettings } from './live';
import type { LiveSettings, LiveSink, LiveState } from './live';
import { labelsOf } from './rows';
import { provideEngine } from './vegaLoader';

/** The MIME type of Vega-Lite 6 charts. */
export const MIME_TYPE = 'application/vnd.vegalite.v6+json';

const RANK = -20;

/** Shows one chart. */
export class ChartRenderer extends Widget implements IRenderMime.IRenderer {
  private readonly chart = new Chart();
  private readonly status = document.createElement('div');
  private shape = '';
  private follower: Follower | undefined;

  constructor(private readonly api: Api) {
    super();
    this.addClass('mb-Chart');
    this.status.className = 'mb-Chart-status';
    this.status.setAttribute('role', 'status');
    this.status.hidden = true;
    this.node.append(this.chart.node, this.status);
  }

  /** Show the chart of an output; called again when the output is updated in place. */
  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const spec = model.data[MIME_TYPE];
    if (!isObject(spec)) {
      this.chart.fail(new Error('This output holds no Vega-Lite chart: its data should be a JSON object.'));
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
    this.shape = shape;
    this.status.hidden = true;
    await this.chart.show(spec, model.trusted);
    if (live && !this.isDisposed) {
      this.follow(live, spec);
    }
  }

  override dispose(): void {
    this.follower?.stop();
    this.chart.dispose();
    super.dispose();
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this.chart.fitWidth();
  }

  private follow(settings: LiveSettings, { data }: Spec): void {
    const sink: LiveSink = {
      replace: rows => this.chart.put(rows, true),
      insert: rows => this.chart.put(rows, false),
      isVisible: () => !document.hidden && this.node.isConnected && this.node.offsetParent !== null,
      show: state => this.showState(state)
    };
    const labels = labelsOf(isObject(data) ? data.values : undefined);
    this.follower = new Follower(settings, this.api, sink, labels, byTimeout);
    void this.follower.start();
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
}

/** Registers the renderer. */
export const mimePlugin: JupyterFrontEndPlugin<void> = {
  id: 'modelbox-labextension:charts',
  description: 'Draws Vega-Lite 6 charts and keeps those of running experiments live.',
  autoStart: true,
  requires: [IRenderMimeRegistry],
  activate: (app: JupyterFrontEnd, registry: IRenderMimeRegistry): void => {
    const api = jupyterApi(app.serviceManager.serverSettings);
    // Safe: expressions are interpreted, and a chart that is not trusted reaches nothing outside itself.
    registry.addFactory({ safe: true, mimeTypes: [MIME_TYPE], createRenderer: () => new ChartRenderer(api) }, RANK);
    provideEngine();
  }
};
