/**
 * Hands out Vega to whoever shows a chart on this page, loading it once and late.
 */

import type * as Engine from './vegaEngine';

type Embed = (element: HTMLElement, spec: Engine.VisualizationSpec) => Promise<Engine.Result>;

declare global {
  interface Window {
    /** Promises a safe stand-in of vega-embed: `(element, spec) => Promise<Result>`. Used by the widgets of ModelBox. */
    [key: symbol]: (() => Promise<Embed>) | undefined;
  }
}

let engine: Promise<typeof Engine> | undefined;

/** The drawing engine. */
export function loadEngine(): Promise<typeof Engine> {
  engine ??= import('./vegaEngine').catch((error: unknown) => {
    engine = undefined; // a lost connection should not spoil the next try
    throw error;
  });
  return engine;
}

/** Let widgets, which cannot import from this extension, find the engine as `globalThis[Symbol.for("modelbox.vega")]`. */
export function provideEngine(): void {
  window[Symbol.for('modelbox.vega')] = async () => {
    const { draw } = await loadEngine();
    return (element, spec) => draw(element, spec, true);
  };
}
