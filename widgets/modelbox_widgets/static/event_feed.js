// The browser's half of modelbox_widgets.EventFeed: what happened, newest first, with filters and a pause.

import { announcer, Cleanup, h } from "./dom.js";
import { Kernel } from "./kernel.js";
import { momentText } from "./lists.js";
import { csvLine, exportMenu, textFile } from "./menu.js";

/** @typedef {{ seq: string, at: string, kind: string, what: string, who: string, where: string, id: string, details: string }} Happening */

const KINDS = ["event", "created", "updated", "destroyed", "uploaded", "downloaded"];

class Feed {
  /** @param {import("./model.js").View} view */
  constructor({ model, el }) {
    this.model = model;
    this.cleanup = new Cleanup();
    this.kernel = new Kernel(model);
    this.newest = 0;
    el.classList.add("modelbox-widget");
    el.dataset.lmSuppressShortcuts = "true";
    this.say = announcer(el);
    this.filter = h("input", { type: "search", placeholder: "Filter by text", "aria-label": "Filter by text", input: () => this.set("contains", this.filter.value) });
    this.kinds = KINDS.map((kind) => h("button", { type: "button", "aria-pressed": "false", "data-kind": kind, click: () => this.toggle(kind) }, kind));
    this.pause = h("button", { type: "button", click: () => this.set("following", !model.get("following")) });
    this.state = h("span", { class: "mbw-dim" });
    this.trouble = h("p", { class: "mbw-error", role: "alert", hidden: true });
    this.body = h("tbody");
    const head = h("tr", {}, ...["when", "what", "who", "details"].map((text) => h("th", { scope: "col" }, text)));
    el.append(
      h(
        "div",
        { class: "mbw-bar" },
        h("span", { class: "mbx-row mbe-kinds", role: "group", "aria-label": "Kinds to show" }, ...this.kinds),
        this.filter,
        this.pause,
        this.state,
        h("span", { class: "mbw-spacer" }),
        exportMenu("events", { html: () => this.page(), csv: () => textFile(this.csv(), "text/csv") }, this.say),
      ),
      this.trouble,
      h("div", { class: "mbe-scroll", tabindex: 0, role: "log", "aria-label": "What happened, newest first" }, h("table", { class: "mbx-table mbe-table" }, h("thead", {}, head), this.body)),
    );
    for (const name of ["_events", "_trouble", "kinds", "contains", "following"]) this.cleanup.listen(model, `change:${name}`, () => this.draw());
    this.cleanup.add(() => this.kernel.stop());
    this.draw();
  }

  /** @param {string} name @param {unknown} value */
  set(name, value) {
    this.model.set(name, value);
    this.model.save_changes();
  }

  /** @returns {readonly string[]} */
  chosen() {
    return /** @type {readonly string[]} */ (this.model.get("kinds"));
  }

  /** @param {string} kind */
  toggle(kind) {
    const chosen = this.chosen();
    this.set("kinds", chosen.includes(kind) ? chosen.filter((one) => one !== kind) : [...chosen, kind]);
  }

  /** What is shown, newest first. @returns {Happening[]} */
  shown() {
    const chosen = this.chosen();
    const wanted = String(this.model.get("contains")).toLowerCase();
    const all = /** @type {readonly Happening[]} */ (this.model.get("_events"));
    return all.filter((one) => (chosen.length === 0 || chosen.includes(one.kind)) && Object.values(one).some((text) => text.toLowerCase().includes(wanted))).reverse();
  }

  draw() {
    const shown = this.shown();
    const isFollowing = this.model.get("following") === true;
    const before = this.newest;
    this.newest = Math.max(before, ...shown.map((one) => Number(one.seq)));
    const rows = shown.map(({ seq, at, kind, what, who, where, details }) =>
      h(
        "tr",
        { class: before > 0 && Number(seq) > before ? "mbe-new" : false },
        h("td", { class: "mbe-when", title: at }, momentText(at)),
        h("td", {}, h("span", { class: "mbe-kind", "data-kind": kind }, kind), " ", what, h("div", { class: "mbw-dim" }, where)),
        h("td", {}, who),
        h("td", { class: "mbe-details" }, details),
      ),
    );
    if (rows.length === 0) rows.push(h("tr", {}, h("td", { colspan: 4, class: "mbw-dim" }, "Nothing of this happened yet.")));
    this.body.replaceChildren(...rows);
    for (const button of this.kinds) button.setAttribute("aria-pressed", String(this.chosen().includes(button.dataset.kind ?? "")));
    if (this.filter.value !== this.model.get("contains") && document.activeElement !== this.filter) this.filter.value = String(this.model.get("contains"));
    this.pause.textContent = isFollowing ? "Pause" : "Follow";
    this.state.textContent = isFollowing ? "● live" : "paused";
    this.state.classList.toggle("mbe-live", isFollowing);
    this.trouble.textContent = String(this.model.get("_trouble"));
    this.trouble.hidden = this.trouble.textContent === "";
    if (before > 0 && this.newest > before && shown[0]) this.say(`${shown[0].kind}: ${shown[0].what}`);
  }

  async page() {
    const { content } = await this.kernel.ask("page");
    return textFile(String(content.html), "text/html");
  }

  csv() {
    const rows = this.shown().map((one) => csvLine([one.seq, one.at, one.kind, one.what, one.who, one.where, one.id, one.details]));
    return `${[csvLine(["seq", "at", "kind", "what", "who", "namespace", "object_id", "details"]), ...rows].join("\n")}\n`;
  }
}

export default {
  /** @param {import("./model.js").View} view */
  render(view) {
    const feed = new Feed(view);
    return () => feed.cleanup.run();
  },
};
