// The browser's half of modelbox_widgets.ModelRegistry: versions on the left, the chosen one on the right, tags to move after a question.

import { announcer, Cleanup, h } from "./dom.js";
import { Kernel } from "./kernel.js";
import { ChoiceList, momentText, pairs, section, sentenceOf, sizeText, table } from "./lists.js";
import { csvLine, exportMenu, textFile } from "./menu.js";

/** @typedef {{ id: string, version: string, name: string, description: string, framework: string, tags: string[], created: string }} Version */
/** @typedef {{ id: string, name: string, namespace: string, task: string, description: string, owner: string, created: string, versions: Version[] }} Model */
/** @typedef {{ key: string, value: string }} Pair */
/**
 * @typedef {{ id: string, name: string, status: string, params: Pair[], metrics: Pair[], checkpoints: { epoch: number, metrics: string }[] }} Origin
 */
/**
 * @typedef {{ metadata: Pair[], metrics: { key: string, last: string, min: string, max: string, points: number }[],
 *             artifacts: { name: string, size_bytes: number | null, sha256: string, storage: string }[], origin: Origin | null }} Details
 */

const USUAL_TAGS = ["production", "staging", "candidate", "archived"];

class Registry {
  /** @param {import("./model.js").View} view */
  constructor({ model, el }) {
    this.model = model;
    this.cleanup = new Cleanup();
    this.kernel = new Kernel(model);
    this.asked = 0;
    el.classList.add("modelbox-widget");
    el.dataset.lmSuppressShortcuts = "true";
    this.say = announcer(el);
    this.filter = h("input", { type: "search", placeholder: "Filter by name or tag", "aria-label": "Filter by name or tag", input: () => this.fill() });
    this.trouble = h("p", { class: "mbw-error", role: "alert", hidden: true });
    this.note = h("span", { class: "mbw-dim" });
    this.list = new ChoiceList("Model versions", (id) => this.choose(id));
    this.side = h("div", { class: "mbx-side", role: "region", "aria-label": "The chosen version" });
    el.append(
      h(
        "div",
        { class: "mbw-bar" },
        this.filter,
        h("button", { type: "button", click: () => void this.ask("refresh", {}) }, "Refresh"),
        this.note,
        h("span", { class: "mbw-spacer" }),
        exportMenu("models", { html: () => this.page(), csv: () => textFile(this.csv(), "text/csv") }, this.say),
      ),
      this.trouble,
      h("div", { class: "mbx-sides" }, this.list.node, this.side),
    );
    this.cleanup.listen(model, "change:_models", () => this.fill());
    this.cleanup.listen(model, "change:_note", () => this.fill());
    this.cleanup.listen(model, "change:selected_id", () => this.show());
    this.cleanup.add(() => this.kernel.stop());
    this.fill();
  }

  /** @returns {readonly Model[]} */
  models() {
    return /** @type {readonly Model[]} */ (this.model.get("_models"));
  }

  chosen() {
    const id = this.model.get("selected_id");
    for (const model of this.models()) {
      for (const version of model.versions) if (version.id === id) return { model, version };
    }
    return undefined;
  }

  /** @param {string} id */
  choose(id) {
    this.model.set("selected_id", id);
    this.model.save_changes();
  }

  fill() {
    const wanted = this.filter.value.toLowerCase();
    const items = this.models().flatMap((model) =>
      model.versions
        .filter(({ version, tags }) => [model.name, model.namespace, version, ...tags].some((text) => text.toLowerCase().includes(wanted)))
        .map(({ id, version, tags }) => ({
          id,
          label: `${model.name}, version ${version}${tags.length > 0 ? `, ${tags.join(", ")}` : ""}`,
          group: `${model.name} · ${model.namespace}`,
          node: h("span", { class: "mbx-row" }, h("span", { class: "mbx-name" }, version), ...tags.map((tag) => h("span", { class: "mbx-tag" }, tag))),
        })),
    );
    this.list.fill(items, String(this.model.get("selected_id")), wanted ? "Nothing has this name or tag." : "No model has a version yet.");
    this.note.textContent = String(this.model.get("_note"));
    this.show();
  }

  show() {
    this.list.mark(String(this.model.get("selected_id")));
    const chosen = this.chosen();
    if (!chosen) {
      this.side.replaceChildren(h("p", { class: "mbw-dim" }, "Choose a version to see where it came from."));
      return;
    }
    const { model, version } = chosen;
    const facts = /** @type {[string, string][]} */ ([
      ["created", momentText(version.created)],
      ["framework", version.framework],
      ["task", model.task],
      ["owner", model.owner],
      ["id", version.id],
    ]).filter(([, value]) => value);
    const details = h("div", {}, h("p", { class: "mbw-dim" }, "Reading …"));
    this.side.replaceChildren(
      h("h3", {}, `${model.name} · ${version.version}`),
      ...[version.name, version.description || model.description].filter(Boolean).map((text) => h("p", {}, text)),
      this.tags(model, version),
      pairs(facts),
      details,
    );
    void this.showDetails(version.id, details);
  }

  /** @param {Model} model @param {Version} version */
  tags(model, version) {
    const chips = version.tags.map((tag) =>
      h(
        "span",
        { class: "mbx-tag" },
        tag,
        h("button", { type: "button", "aria-label": `Take the tag ${tag} away`, click: () => this.question(place, `Take “${tag}” away from version ${version.version}?`, "Take away", "untag", { version: version.id, tag }) }, "×"),
      ),
    );
    const known = [...new Set([...USUAL_TAGS, ...model.versions.flatMap((one) => one.tags)])].filter((tag) => !version.tags.includes(tag));
    const names = `mbx-tags-${Math.random().toString(36).slice(2)}`;
    const input = h("input", { list: names, placeholder: "Tag, such as production", "aria-label": "Tag to give to this version", size: 18 });
    const promote = (/** @type {Event} */ event) => {
      event.preventDefault();
      const tag = input.value.trim();
      if (!tag) {
        input.focus();
        return;
      }
      const holder = model.versions.find((one) => one.tags.includes(tag));
      const text = holder
        ? `“${tag}” is at version ${holder.version} now. Move it to version ${version.version}?`
        : `Give the tag “${tag}” to version ${version.version}?`;
      this.question(place, text, holder ? "Move" : "Give", "promote", { version: version.id, tag, holder: holder?.id ?? "" });
    };
    const place = h("div");
    const form = h(
      "form",
      { class: "mbx-row", submit: promote },
      ...chips,
      input,
      h("datalist", { id: names }, ...known.map((tag) => h("option", { value: tag }))),
      h("button", { type: "submit" }, "Promote …"),
    );
    return h("div", {}, form, place);
  }

  /**
   * Ask the person before something is changed.
   *
   * @param {HTMLElement} place
   * @param {string} text
   * @param {string} verb
   * @param {string} question
   * @param {Readonly<Record<string, unknown>>} content
   */
  question(place, text, verb, question, content) {
    const yes = h("button", { type: "button", class: "mbx-main", click: () => void this.ask(question, content) }, verb);
    const no = h("button", { type: "button", click: () => place.replaceChildren() }, "Cancel");
    const asking = h("div", { class: "mbx-ask mbx-row", role: "alertdialog", "aria-label": text }, h("span", {}, text), yes, no);
    asking.addEventListener("keydown", (event) => event.key === "Escape" && place.replaceChildren());
    place.replaceChildren(asking);
    yes.focus();
  }

  /** @param {string} question @param {Readonly<Record<string, unknown>>} content */
  async ask(question, content) {
    try {
      await this.kernel.ask(question, content);
      this.trouble.hidden = true;
      this.say(question === "refresh" ? "Refreshed" : "Changed");
      this.show();
    } catch (error) {
      this.trouble.textContent = sentenceOf(error);
      this.trouble.hidden = false;
    }
  }

  /** @param {string} version @param {HTMLElement} place */
  async showDetails(version, place) {
    const asked = ++this.asked;
    try {
      const answer = await this.kernel.ask("details", { version });
      if (asked === this.asked) place.replaceChildren(...this.sections(/** @type {any} */ (answer.content)));
    } catch (error) {
      if (asked === this.asked) place.replaceChildren(h("p", { class: "mbw-error" }, sentenceOf(error)));
    }
  }

  /** @param {Details} details */
  sections({ origin, metadata, metrics, artifacts }) {
    const list = (/** @type {Pair[]} */ items) => pairs(items.map(({ key, value }) => [key, value]));
    const sections = [];
    if (origin) {
      const from = [h("p", {}, h("b", {}, origin.name || "an experiment"), " ", h("span", { class: "mbw-badge", "data-status": origin.status }, origin.status), " ", h("span", { class: "mbx-mono mbw-dim" }, origin.id))];
      const parts = [...origin.params, ...origin.metrics];
      if (parts.length > 0) from.push(list(parts));
      if (origin.checkpoints.length > 0) from.push(table(["checkpoint at epoch", "metrics"], origin.checkpoints.map(({ epoch, metrics: text }) => [String(epoch), text])));
      sections.push(section("Came from", ...from));
    }
    if (metrics.length > 0) sections.push(section("Metrics", table(["metric", "last", "least", "greatest", "points"], metrics.map((one) => [one.key, one.last, one.min, one.max, String(one.points)]))));
    if (artifacts.length > 0) sections.push(section("Artifacts", table(["name", "size", "kept", "sha256"], artifacts.map((one) => [one.name, sizeText(one.size_bytes), one.storage, one.sha256.slice(0, 12)]))));
    if (metadata.length > 0) sections.push(section("Metadata", list(metadata)));
    return sections.length > 0 ? sections : [h("p", { class: "mbw-dim" }, "Nothing else is known of it.")];
  }

  async page() {
    const { content } = await this.kernel.ask("page");
    return textFile(String(content.html), "text/html");
  }

  csv() {
    const rows = this.models().flatMap((model) =>
      model.versions.map((one) => csvLine([model.namespace, model.name, one.version, one.tags.join(" "), one.created, one.framework, one.description, one.id])),
    );
    return `${[csvLine(["namespace", "model", "version", "tags", "created", "framework", "description", "version_id"]), ...rows].join("\n")}\n`;
  }
}

export default {
  /** @param {import("./model.js").View} view */
  render(view) {
    const registry = new Registry(view);
    return () => registry.cleanup.run();
  },
};
