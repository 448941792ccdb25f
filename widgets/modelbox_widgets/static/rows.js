// Which rows of a long table are drawn, and which are selected. Rows are numbers; the order is what the table shows.

/**
 * Which stretch of the order to draw.
 *
 * @param {number} scrollTop
 * @param {number} viewHeight
 * @param {number} rowHeight
 * @param {number} count
 * @returns {{ first: number, end: number }}
 */
export function windowOf(scrollTop, viewHeight, rowHeight, count) {
  const spare = 6;
  const first = Math.max(0, Math.min(Math.floor(scrollTop / rowHeight) - spare, count - 1));
  return { first, end: Math.min(count, Math.ceil((scrollTop + viewHeight) / rowHeight) + spare) };
}

/** The selected rows, with the usual meaning of click, shift and ctrl. */
export class Selected {
  constructor() {
    /** @type {Set<number>} */
    this.rows = new Set();
    /** @type {number | undefined} the row that a stretch starts from */
    this.anchor = undefined;
  }

  /** @param {Iterable<number>} rows */
  replace(rows) {
    this.rows = new Set(rows);
  }

  /**
   * Select one row and no other.
   *
   * @param {number} row
   */
  only(row) {
    this.rows = new Set([row]);
    this.anchor = row;
  }

  /** @param {number} row */
  toggle(row) {
    if (!this.rows.delete(row)) this.rows.add(row);
    this.anchor = row;
  }

  /**
   * Select from the anchor to a row, as the order has them.
   *
   * @param {number} row
   * @param {readonly number[]} order
   */
  extend(row, order) {
    const from = this.anchor === undefined ? -1 : order.indexOf(this.anchor);
    const to = order.indexOf(row);
    if (from < 0 || to < 0) return this.only(row);
    this.rows = new Set(order.slice(Math.min(from, to), Math.max(from, to) + 1));
  }
}

/**
 * Where a key leads to from a place in the table; undefined when it leads nowhere. Row -1 is the head.
 *
 * @param {string} key
 * @param {{ row: number, column: number }} at
 * @param {{ rows: number, columns: number, page: number }} size
 * @returns {{ row: number, column: number } | undefined}
 */
export function moved(key, { row, column }, { rows, columns, page }) {
  const clamp = (/** @type {number} */ value, /** @type {number} */ low, /** @type {number} */ high) => Math.max(low, Math.min(value, high));
  /** @param {number} to @param {number} [low] */
  const toRow = (to, low = 0) => ({ row: clamp(to, low, rows - 1), column });
  switch (key) {
    case "ArrowDown":
      return toRow(row + 1);
    case "ArrowUp":
      return toRow(row - 1, -1);
    case "PageDown":
      return toRow(row + page);
    case "PageUp":
      return toRow(row - page);
    case "Home":
      return toRow(0);
    case "End":
      return toRow(rows - 1);
    case "ArrowLeft":
      return { row, column: clamp(column - 1, 0, columns - 1) };
    case "ArrowRight":
      return { row, column: clamp(column + 1, 0, columns - 1) };
    default:
      return undefined;
  }
}
