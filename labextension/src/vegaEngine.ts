/**
 * Vega itself, with everything that a chart from elsewhere could abuse switched off. Loaded only when a first chart is shown.
 *
 * Expressions run in the interpreter, never as generated JavaScript; options inside a chart cannot change that. A chart that is not trusted
 * loads nothing: no data, no pictures, no links, since any address could carry data away.
 */

import type { Loader } from 'vega';
import { changeset, Error as ERRORS_ONLY, loader as makeLoader } from 'vega';
import embed from 'vega-embed';
import type { EmbedOptions, Result, VisualizationSpec } from 'vega-embed';
import { expressionInterpreter } from 'vega-interpreter';

import { themeConfig } from './theme';

export { changeset };
export type { Result, VisualizationSpec };

/** Draw a Vega-Lite chart into `element`. A quiet one does not warn in the console, for instance of data that is still to come. */
export async function draw(element: HTMLElement, spec: VisualizationSpec, isTrusted: boolean, isQuiet = false): Promise<Result> {
  const options: EmbedOptions = {
    mode: 'vega-lite',
    renderer: 'svg',
    ast: true,
    expr: expressionInterpreter,
    actions: { export: true, source: false, compiled: false, editor: false },
    downloadFileName: 'modelbox-chart',
    config: themeConfig(),
    loader: isTrusted ? makeLoader() : sealedLoader(),
    // Styles are those of style/vega.css: what Vega puts into the page by itself, a strict page refuses.
    defaultStyle: false,
    forceActionsMenu: true,
    ...(isQuiet ? { logLevel: ERRORS_ONLY } : {}),
    tooltip: { formatTooltip: tooltipTable, disableDefaultStyle: true }
  };
  // vega-embed lets options inside the chart win over ours.
  return embed(element, { ...spec, usermeta: {} }, options);
}

/** A loader that answers only for what the chart itself carries. */
function sealedLoader(): Loader {
  const inner = makeLoader();
  const refuse = (uri: string): Promise<never> =>
    Promise.reject(new Error(`This notebook is not trusted, so its chart may not load ${uri.slice(0, 80)}: trust the notebook to allow it.`));
  return {
    load: (uri, options) => (uri.startsWith('data:') ? inner.load(uri, options) : refuse(uri)),
    sanitize: (uri, options) => (uri.startsWith('data:') ? inner.sanitize(uri, options) : refuse(uri)),
    http: refuse,
    file: refuse
  };
}

/** The text of a tooltip: name and value per line, escaped; unlike Vega's own it never shows pictures from elsewhere. */
function tooltipTable(value: unknown, escape: (value: unknown) => string): string {
  if (typeof value !== 'object' || value === null) {
    return escape(String(value));
  }
  const rows = Object.entries(value).map(([name, item]) => `<tr><td class="key">${escape(name)}</td><td class="value">${escape(String(item))}</td></tr>`);
  return `<table><tbody>${rows.join('')}</tbody></table>`;
}
