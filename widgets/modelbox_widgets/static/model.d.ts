/** What anywidget gives to `render()`. */
export interface Model {
  get(key: string): unknown;
  set(key: string, value: unknown): void;
  save_changes(): void;
  on(name: string, listener: (...values: never[]) => void): void;
  off(name: string, listener: (...values: never[]) => void): void;
  send(content: unknown, callbacks?: unknown, buffers?: unknown): void;
}

/** A view of a widget. */
export interface View {
  readonly model: Model;
  readonly el: HTMLElement;
}

/** What a question to the kernel is answered with. */
export interface Answer {
  readonly content: Readonly<Record<string, unknown>>;
  readonly buffers: readonly DataView[];
}
