/**
 * The colours and fonts of the Jupyter theme, as a Vega-Lite configuration.
 */

import type { Config } from 'vega-lite';

/** A configuration that follows the page's theme; what a chart says itself goes before it. */
export function themeConfig(): Config {
  const style = getComputedStyle(document.body);
  const variable = (name: string, fallback: string): string => style.getPropertyValue(name).trim() || fallback;
  const strong = variable('--jp-content-font-color0', '#111');
  const normal = variable('--jp-content-font-color1', '#333');
  const faint = variable('--jp-border-color2', '#e0e0e0');
  const titles = { labelColor: normal, titleColor: normal };
  return {
    background: 'transparent',
    font: variable('--jp-ui-font-family', 'system-ui, sans-serif'),
    title: { color: strong, subtitleColor: normal },
    axis: { ...titles, domainColor: faint, gridColor: faint, tickColor: faint },
    legend: titles,
    header: titles,
    view: { stroke: faint },
    text: { color: normal }
  };
}

/** Call back whenever the user changes the theme; returns how to stop that. */
export function onThemeChange(callback: () => void): () => void {
  const observer = new MutationObserver(callback);
  observer.observe(document.body, { attributes: true, attributeFilter: ['data-jp-theme-name', 'data-jp-theme-light'] });
  return () => observer.disconnect();
}
