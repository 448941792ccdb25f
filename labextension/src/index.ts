/**
 * The plugins of ModelBox in JupyterLab and Jupyter Notebook.
 */

import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

import { mimePlugin } from './mime';
import { panelPlugin } from './panel';
import { widgetPlugin } from './widgetOutput';

const plugins: JupyterFrontEndPlugin<void>[] = [mimePlugin, widgetPlugin, panelPlugin];

export default plugins;
