/**
 * The plugins of ModelBox in JupyterLab and Jupyter Notebook.
 */

import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

import { mimePlugin } from './mime';
import { panelPlugin } from './panel';

const plugins: JupyterFrontEndPlugin<void>[] = [mimePlugin, panelPlugin];

export default plugins;
