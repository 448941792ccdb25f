/**
 * Shows outputs of our widgets: the live view while the kernel has the widget, and otherwise what was saved with it.
 *
 * The widget manager's own renderer knows nothing else to say of a widget without a kernel than "model not found". So ours goes before it
 * (rank -30; that of the widget manager is -10), shows the saved HTML or chart at once, and lets the widget manager try unseen. Each notebook
 * has renderers of its own, bound to its kernel, hence an extension of notebooks instead of one factory for the page.
 */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import type { ISessionContext } from '@jupyterlab/apputils';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { Panel, Widget } from '@lumino/widgets';

import { isObject } from './checks';
import { MIME_TYPE as CHART } from './mime';

/** The MIME type of widgets that bring a static state. */
export const WIDGET = 'application/vnd.modelbox.widget+json';
/** The MIME type of the widget manager. */
const WIDGET_VIEW = 'application/vnd.jupyter.widget-view+json';

const RANK = -30;
const SAVED = ['text/html', CHART];
/** The widget manager binds its renderer to the kernel some time after the notebook was opened. */
const MANAGER_PAUSE_MS = 200;
const MANAGER_TRIES = 150;
const GONE: ReadonlySet<string> = new Set(['restarting', 'autorestarting', 'dead', 'terminating']);

/** Where an output is: the renderers of its notebook and the kernel. */
export interface Place {
  readonly rendermime: IRenderMimeRegistry;
  readonly session: ISessionContext;
  /** Whether the widget manager is bound to the kernel by now. */
  hasManager(): boolean;
}

/** Shows one widget. */
export class WidgetOutput extends Panel implements IRenderMime.IRenderer {
  private readonly saved = new Panel();
  private readonly note = new Widget();
  private readonly changes = new MutationObserver(() => this.settle());
  private live: IRenderMime.IRenderer | undefined;
  private model: IRenderMime.IMimeModel | undefined;
  private modelId = '';
  private kernelId: string | undefined;
  private timer = 0;

  constructor(private readonly place: Place) {
    super();
    this.addClass('mb-Widget');
    this.saved.addClass('mb-Widget-saved');
    this.note.addClass('mb-Widget-note');
    this.note.node.textContent = 'As it was saved. Run the cell to make it live.';
    this.note.hide();
    this.addWidget(this.saved);
    this.addWidget(this.note);
    place.session.kernelChanged.connect(this.onKernelChanged, this);
    place.session.statusChanged.connect(this.onStatus, this);
  }

  /** Show an output; called again when it is updated in place. */
  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const data = model.data[WIDGET];
    const modelId = isObject(data) && typeof data.model_id === 'string' ? data.model_id : '';
    const isSame = modelId === this.modelId && this.live !== undefined;
    this.model = model;
    this.modelId = modelId;
    await this.renderSaved(model);
    if (!isSame) {
      this.drop();
      await this.attempt();
    }
  }

  override dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this.place.session.kernelChanged.disconnect(this.onKernelChanged, this);
    this.place.session.statusChanged.disconnect(this.onStatus, this);
    this.drop();
    super.dispose();
  }

  private async renderSaved(model: IRenderMime.IMimeModel): Promise<void> {
    const present = SAVED.filter(type => type in model.data);
    const parts = (present.length > 0 ? present : ['text/plain']).map(type => this.place.rendermime.createRenderer(type));
    // Beside its table the HTML has a picture of the chart, for pages that cannot draw it.
    this.saved.toggleClass('mb-mod-chart', present.includes(CHART));
    const old = [...this.saved.widgets];
    parts.forEach(part => this.saved.addWidget(part));
    await Promise.all(parts.map(part => part.renderModel(model)));
    old.forEach(part => part.dispose());
  }

  /** Let the widget manager show the live view, unseen until it is there. */
  private async attempt(triesLeft = MANAGER_TRIES): Promise<void> {
    window.clearTimeout(this.timer);
    const { model, modelId } = this;
    if (!model?.trusted || modelId === '' || this.isDisposed || this.live) {
      return;
    }
    const kernelId = this.place.session.session?.kernel?.id;
    if (kernelId === undefined) {
      this.note.show();
      return;
    }
    if (!this.place.hasManager()) {
      if (triesLeft > 0) {
        this.timer = window.setTimeout(() => void this.attempt(triesLeft - 1), MANAGER_PAUSE_MS);
      }
      return;
    }
    this.kernelId = kernelId;
    const live = this.place.rendermime.createRenderer(WIDGET_VIEW);
    this.live = live;
    live.addClass('mb-Widget-live');
    this.addWidget(live);
    this.changes.observe(live.node, { attributes: true, attributeFilter: ['class'], childList: true, subtree: true });
    await live.renderModel(viewModel(model, modelId));
    this.settle();
  }

  /** Show whichever there is: the live view as soon as something is drawn in it. */
  private settle(): void {
    const { live } = this;
    if (!live || live.isDisposed) {
      return;
    }
    const isLive = !live.isHidden && live.node.querySelector('.lm-Widget > *') !== null;
    if (this.hasClass('mb-mod-live') !== isLive) {
      this.toggleClass('mb-mod-live', isLive);
      this.saved.setHidden(isLive);
    }
    this.note.setHidden(isLive || live.node.textContent === 'Loading widget...');
  }

  private drop(): void {
    window.clearTimeout(this.timer);
    this.changes.disconnect();
    this.live?.dispose();
    this.live = undefined;
    this.removeClass('mb-mod-live');
    this.saved.show();
  }

  private onKernelChanged(): void {
    if (this.place.session.session?.kernel?.id !== this.kernelId) {
      this.drop();
      void this.attempt();
    }
  }

  private onStatus(_session: ISessionContext, status: string): void {
    if (GONE.has(status) && this.live) {
      this.drop();
      this.note.show();
    }
  }
}

/** The output as the widget manager knows it; a copy, since it writes into the data when a widget is closed. */
function viewModel(model: IRenderMime.IMimeModel, modelId: string): IRenderMime.IMimeModel {
  const view = { version_major: 2, version_minor: 0, model_id: modelId };
  return { trusted: model.trusted, data: { [WIDGET_VIEW]: view }, metadata: {}, setData: () => undefined };
}

/** Has widgets shown in notebooks. */
export const widgetPlugin: JupyterFrontEndPlugin<void> = {
  id: 'modelbox-labextension:widgets',
  description: 'Shows what was saved of a widget where its kernel is gone.',
  autoStart: true,
  requires: [IRenderMimeRegistry],
  activate: (app: JupyterFrontEnd, registry: IRenderMimeRegistry): void => {
    app.docRegistry.addWidgetExtension('Notebook', {
      createNew: (panel, context) => {
        const rendermime = rendermimeOf(panel);
        if (rendermime) {
          const hasManager = (): boolean => {
            const factory = rendermime.getFactory(WIDGET_VIEW);
            return factory !== undefined && factory !== registry.getFactory(WIDGET_VIEW);
          };
          const place: Place = { rendermime, session: context.sessionContext, hasManager };
          // Safe: what was saved is cleaned where the notebook is not trusted, and there is no live view there.
          rendermime.addFactory({ safe: true, mimeTypes: [WIDGET], createRenderer: () => new WidgetOutput(place) }, RANK);
        }
      }
    });
  }
};

/** The renderers of a notebook, asked for by shape for the reason that `insert.ts` gives. */
function rendermimeOf(panel: Widget): IRenderMimeRegistry | undefined {
  const content: unknown = 'content' in panel ? panel.content : undefined;
  const rendermime = isObject(content) ? content.rendermime : undefined;
  return isObject(rendermime) && 'addFactory' in rendermime ? (rendermime as unknown as IRenderMimeRegistry) : undefined;
}
