// The browser's half of modelbox_widgets.ArtifactBrowser. What a file holds is shown as text, as cells, or as one of four kinds of picture; it never
// becomes markup.

import { announcer, Cleanup, h } from "./dom.js";
import { Kernel } from "./kernel.js";
import { ChoiceList, momentText, pairs, sentenceOf, sizeText, table } from "./lists.js";
import { csvLine, exportMenu, saveFile, textFile } from "./menu.js";

/**
 * @typedef {{ id: string, name: string, size_bytes: number | null, storage: string, sha256: string, media_type: string, file_type: string,
 *             uri: string, created: string }} Artifact
 */
/** @typedef {{ kind: string, note: string, text?: string, rows?: string[][], media_type?: string }} Preview */

const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);

class Browser {
  /** @param {import("./model.js").View} view */
  constructor({ model, el }) {
    this.model = model;
    this.cleanup = new Cleanup();
    this.kernel = new Kernel(model);
    this.asked = 0;
    this.address = "";
    el.classList.add("modelbox-widget");
    el.dataset.lmSuppressShortcuts = "true";
    this.say = announcer(el);
    this.filter = h("input", { type: "search", placeholder: "Filter by name", "aria-label": "Filter by name", input: () => this.fill() });
    this.note = h("span", { class: "mbw-dim" });
    this.list = new ChoiceList("Artifacts", (id) => this.choose(id));
    this.side = h("div", { class: "mbx-side", role: "region", "aria-label": "The chosen artifact" });
    el.append(
      h(
        "div",
        { class: "mbw-bar" },
        this.filter,
        h("button", { type: "button", click: () => void this.refresh() }, "Refresh"),
        this.note,
        h("span", { class: "mbw-spacer" }),
        exportMenu("artifacts", { html: () => this.page(), csv: () => textFile(this.csv(), "text/csv") }, this.say),
      ),
      h("div", { class: "mbx-sides" }, this.list.node, this.side),
    );
    this.cleanup.listen(model, "change:_artifacts", () => this.fill());
    this.cleanup.listen(model, "change:selected_id", () => this.show());
    this.cleanup.add(() => this.kernel.stop());
    this.cleanup.add(() => this.forgetPicture());
    this.fill();
    this.show();
  }

  /** @returns {readonly Artifact[]} */
  artifacts() {
    return /** @type {readonly Artifact[]} */ (this.model.get("_artifacts"));
  }

  /** @param {string} id */
  choose(id) {
    this.model.set("selected_id", id);
    this.model.save_changes();
  }

  fill() {
    const wanted = this.filter.value.toLowerCase();
    const items = this.artifacts()
      .filter(({ name }) => name.toLowerCase().includes(wanted))
      .map(({ id, name, size_bytes, storage }) => {
        const size = storage === "tracked" ? "tracked" : sizeText(size_bytes);
        const node = h("span", { class: "mbx-row mbx-name" }, h("span", { class: "mbx-name" }, name), h("span", { class: "mbw-dim" }, size));
        return { id, label: `${name}, ${size}`, node };
      });
    this.list.fill(items, String(this.model.get("selected_id")), wanted ? "No artifact has this in its name." : "There are no artifacts.");
    const total = this.artifacts().reduce((sum, { size_bytes }) => sum + (size_bytes ?? 0), 0);
    this.note.textContent = [`${this.artifacts().length} artifacts, ${sizeText(total)}`, String(this.model.get("_note"))].filter(Boolean).join(" · ");
  }

  show() {
    const id = String(this.model.get("selected_id"));
    this.list.mark(id);
    this.forgetPicture();
    const artifact = this.artifacts().find((one) => one.id === id);
    if (!artifact) {
      this.side.replaceChildren(h("p", { class: "mbw-dim" }, "Choose an artifact to look into it."));
      return;
    }
    const isHere = artifact.storage !== "tracked";
    const said = h("span", { class: "mbw-dim", role: "status" });
    const tools = h(
      "div",
      { class: "mbx-row" },
      h("button", { type: "button", disabled: !isHere, click: () => void this.save(id, said) }, "Save beside the notebook"),
      h("button", { type: "button", disabled: !isHere, click: () => void this.download(id, said) }, "Download"),
      said,
    );
    const facts = /** @type {[string, string][]} */ ([
      ["size", sizeText(artifact.size_bytes)],
      ["kept", isHere ? "uploaded: the bytes are kept" : "tracked: a reference is kept"],
      ["type", artifact.media_type],
      ["at", artifact.uri],
      ["sha256", artifact.sha256],
      ["since", momentText(artifact.created)],
    ]).filter(([, value]) => value);
    const place = h("div", { class: "mbx-section" }, h("p", { class: "mbw-dim" }, "Reading …"));
    this.side.replaceChildren(h("h3", {}, artifact.name), tools, place, h("div", { class: "mbx-section" }, pairs(facts)));
    void this.preview(artifact, place);
  }

  /** @param {Artifact} artifact @param {HTMLElement} place */
  async preview(artifact, place) {
    const asked = ++this.asked;
    try {
      const { content, buffers } = await this.kernel.ask("preview", { artifact: artifact.id });
      if (asked === this.asked) place.replaceChildren(...this.parts(artifact, /** @type {any} */ (content), buffers[0]));
    } catch (error) {
      if (asked === this.asked) place.replaceChildren(h("p", { class: "mbw-error" }, sentenceOf(error)));
    }
  }

  /** @param {Artifact} artifact @param {Preview} preview @param {DataView | undefined} bytes */
  parts(artifact, preview, bytes) {
    /** @type {HTMLElement[]} */
    const parts = [];
    if (preview.kind === "image" && bytes && PICTURES.has(preview.media_type ?? "")) {
      this.address = URL.createObjectURL(new Blob([/** @type {ArrayBuffer} */ (bytes.buffer).slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)], { type: preview.media_type ?? "" }));
      parts.push(h("img", { class: "mbx-picture", src: this.address, alt: artifact.name }));
    } else if (preview.kind === "table") {
      const [head = [], ...rows] = preview.rows ?? [];
      parts.push(h("div", { class: "mbx-scroll", tabindex: 0, role: "region", "aria-label": "Table" }, table(head, rows)));
    } else if (preview.kind === "text") {
      parts.push(h("pre", { class: "mbx-text", tabindex: 0 }, preview.text ?? ""));
    }
    if (preview.note) parts.push(h("p", { class: "mbw-dim" }, preview.note));
    return parts;
  }

  forgetPicture() {
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = "";
  }

  /** @param {string} artifact @param {HTMLElement} said */
  async save(artifact, said) {
    said.textContent = "Saving …";
    try {
      const { content } = await this.kernel.ask("save", { artifact });
      said.textContent = `Saved as ${content.path}`;
    } catch (error) {
      said.textContent = sentenceOf(error);
    }
  }

  /** @param {string} artifact @param {HTMLElement} said */
  async download(artifact, said) {
    said.textContent = "Reading …";
    try {
      const { content, buffers } = await this.kernel.ask("content", { artifact });
      const bytes = buffers[0];
      // Of no type that a browser would open: it is to be kept, not shown.
      if (bytes) saveFile(new Blob([/** @type {any} */ (bytes)], { type: "application/octet-stream" }), String(content.name));
      said.textContent = "Downloaded";
    } catch (error) {
      said.textContent = sentenceOf(error);
    }
  }

  async refresh() {
    try {
      await this.kernel.ask("refresh");
      this.say("Refreshed");
      this.show();
    } catch (error) {
      this.side.replaceChildren(h("p", { class: "mbw-error", role: "alert" }, sentenceOf(error)));
    }
  }

  async page() {
    const { content } = await this.kernel.ask("page");
    return textFile(String(content.html), "text/html");
  }

  csv() {
    const rows = this.artifacts().map((one) => csvLine([one.name, String(one.size_bytes ?? ""), one.storage, one.media_type, one.sha256, one.uri, one.created]));
    return `${[csvLine(["name", "size_bytes", "storage", "media_type", "sha256", "uri", "created"]), ...rows].join("\n")}\n`;
  }
}

export default {
  /** @param {import("./model.js").View} view */
  render(view) {
    const browser = new Browser(view);
    return () => browser.cleanup.run();
  },
};
