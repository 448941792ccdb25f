/**
 * The panel in the left sidebar: the experiments of this server, newest first.
 */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { PageConfig } from '@jupyterlab/coreutils';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ReactWidget } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import { Poll } from '@lumino/polling';
import * as React from 'react';

import type { Api } from './api';
import type { Run } from './decode';
import { panelIcon } from './icon';
import { copyText, insertCode } from './insert';
import { jupyterApi } from './jupyter';
import { PanelView } from './panelView';

const PLUGIN_ID = 'modelbox-labextension:panel';
const DEFAULT_REFRESH_S = 4;
const FIRST_PAGE = 50;
const NEXT_PAGE = 200;
/** As many as the server gives at once; who has more asks with a query in a notebook. */
const MAX_RUNS = 1000;

/** What the panel shows. */
export interface PanelState {
  /** Undefined until the server has answered once. */
  readonly runs: readonly Run[] | undefined;
  readonly more: 'no' | 'loadable' | 'too many';
  readonly isBusy: boolean;
  readonly error: string | undefined;
}

/** Keeps the list of runs fresh while it can be seen. */
export class Panel extends ReactWidget {
  private state: PanelState = { runs: undefined, more: 'no', isBusy: false, error: undefined };
  private wanted = FIRST_PAGE;
  private refreshS = DEFAULT_REFRESH_S;
  private readonly poll: Poll;

  constructor(
    private readonly app: JupyterFrontEnd,
    private readonly api: Api
  ) {
    super();
    this.id = 'modelbox-panel';
    this.title.icon = panelIcon;
    this.title.caption = 'ModelBox experiments';
    this.addClass('mb-Panel');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'ModelBox experiments');
    this.poll = new Poll({
      name: 'modelbox:panel',
      auto: false,
      factory: () => this.load(),
      standby: () => !this.isVisible || document.hidden
    });
    this.paceRefresh();
  }

  /** Ask for new runs so often; 0 means only when asked. */
  set refreshSeconds(seconds: number) {
    this.refreshS = seconds;
    this.paceRefresh();
  }

  override dispose(): void {
    this.poll.dispose();
    super.dispose();
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    void this.poll.refresh();
  }

  protected override onAfterHide(message: Message): void {
    super.onAfterHide(message);
    void this.poll.stop();
  }

  protected override render(): React.JSX.Element {
    return (
      <PanelView
        {...this.state}
        elsewhere={PageConfig.getOption('modelboxElsewhere')}
        onRefresh={() => void this.poll.refresh()}
        onMore={() => {
          this.wanted = Math.min(MAX_RUNS, this.wanted + NEXT_PAGE);
          this.paceRefresh();
          void this.poll.refresh();
        }}
        onInsert={code => insertCode(this.app, code)}
        onCopy={copyText}
      />
    );
  }

  /** Long lists are asked for less often. */
  private paceRefresh(): void {
    const interval = this.refreshS > 0 ? this.refreshS * 1000 * Math.ceil(this.wanted / NEXT_PAGE) : Poll.NEVER;
    this.poll.frequency = { interval, backoff: true, max: Math.max(60_000, interval) };
  }

  private set(change: Partial<PanelState>): void {
    this.state = { ...this.state, ...change };
    this.update();
  }

  private async load(): Promise<void> {
    this.set({ isBusy: true });
    try {
      const { runs, nextPageToken } = await this.api.runs(this.wanted);
      const more = nextPageToken === null ? 'no' : this.wanted < MAX_RUNS ? 'loadable' : 'too many';
      this.set({ runs, more, isBusy: false, error: undefined });
    } catch (error) {
      this.set({ isBusy: false, error: error instanceof Error ? error.message : String(error) });
      throw error; // so that the poll waits longer before it tries again
    }
  }
}

/** Adds the panel to the left sidebar. */
export const panelPlugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN_ID,
  description: 'Lists the experiments of this server in the left sidebar.',
  autoStart: true,
  optional: [ISettingRegistry],
  activate: (app: JupyterFrontEnd, settings: ISettingRegistry | null): void => {
    const panel = new Panel(app, jupyterApi(app.serviceManager.serverSettings));
    app.shell.add(panel, 'left', { rank: 600, type: 'ModelBox' });
    app.commands.addCommand('modelbox:show-panel', {
      label: 'Show ModelBox Experiments',
      icon: panelIcon,
      execute: () => app.shell.activateById(panel.id)
    });
    void settings?.load(PLUGIN_ID).then(loaded => {
      const apply = (): void => {
        const value = loaded.get('refreshSeconds').composite;
        panel.refreshSeconds = typeof value === 'number' ? value : DEFAULT_REFRESH_S;
      };
      loaded.changed.connect(apply);
      apply();
    });
  }
};
