/**
 * Puts code where the user works: below the active cell of the current notebook, or else on the clipboard.
 */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Clipboard } from '@jupyterlab/apputils';

import { isObject } from './checks';

/** Copy `text` and say so. */
export function copyText(text: string): string {
  Clipboard.copyToSystem(text);
  return 'Copied';
}

/** Insert `code` into the notebook in front; returns what happened. */
export async function insertCode(app: JupyterFrontEnd, code: string): Promise<string> {
  if (activeSource(app) === undefined) {
    copyText(code);
    return 'No notebook is open: copied';
  }
  await app.commands.execute('notebook:insert-cell-below');
  activeSource(app)?.(code);
  return 'Inserted';
}

/**
 * How to set the source of the active cell, when the widget in front is a notebook.
 *
 * Asked for by shape: depending on the notebook package for this one call would double what has to be installed to build the extension.
 */
function activeSource(app: JupyterFrontEnd): ((source: string) => void) | undefined {
  const widget: unknown = app.shell.currentWidget;
  const content = property(widget, 'content');
  const model = property(property(property(content, 'activeCell'), 'model'), 'sharedModel');
  const setSource = property(model, 'setSource');
  return typeof setSource === 'function' ? source => void setSource.call(model, source) : undefined;
}

function property(value: unknown, name: string): unknown {
  return isObject(value) ? value[name] : undefined;
}
