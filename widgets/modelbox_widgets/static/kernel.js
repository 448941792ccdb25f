// Questions to the kernel, each with its own answer.

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./model.js").Answer} Answer */

/** What the kernel said instead of an answer: a sentence for people. */
export class Refused extends Error {}

/** The kernel, as one view of a widget sees it. */
export class Kernel {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    // Every view of the same widget hears all answers.
    this.name = Math.random().toString(36).slice(2);
    this.asked = 0;
    /** @type {Map<string, { resolve(answer: Answer): void, reject(error: Error): void }>} */
    this.waiting = new Map();
    /** @type {(message: any, buffers?: readonly DataView[]) => void} */
    this.hear = (message, buffers = []) => {
      const asker = message?.type === "answer" ? this.waiting.get(message.number) : undefined;
      if (!asker) return;
      this.waiting.delete(message.number);
      if (typeof message.error === "string") asker.reject(new Refused(message.error));
      else asker.resolve({ content: message.content ?? {}, buffers });
    };
    model.on("msg:custom", this.hear);
  }

  /**
   * Ask; the promise is rejected with `Refused` when the kernel has a sentence instead.
   *
   * @param {string} question
   * @param {Readonly<Record<string, unknown>>} [content]
   * @returns {Promise<Answer>}
   */
  ask(question, content = {}) {
    const number = `${this.name}-${++this.asked}`;
    const answer = new Promise((resolve, reject) => {
      this.waiting.set(number, { resolve, reject });
    });
    this.model.send({ type: "ask", number, question, content });
    return /** @type {Promise<Answer>} */ (answer);
  }

  stop() {
    this.model.off("msg:custom", this.hear);
    this.waiting.clear();
  }
}

/**
 * The doubles in a buffer, which may begin anywhere in a message.
 *
 * @param {DataView} view
 * @returns {Float64Array<ArrayBuffer>}
 */
export function doubles(view) {
  return new Float64Array(/** @type {ArrayBuffer} */ (view.buffer).slice(view.byteOffset, view.byteOffset + view.byteLength));
}
