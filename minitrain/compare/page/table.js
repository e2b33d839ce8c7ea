// A virtualized table: only visible rows are in the document, so that thousands are as fast as ten.

const ROW_HEIGHT = 27; // pixels, as in report.css
const BLOCK = 16; // rows are rendered in blocks of this size, with one block above and below the visible ones
const WIDEST = 44; // characters

class Table {
  /**
   * columns: fields, optionally with a label that differs from their name
   * handlers: onPoint(row or null), onPick(row); optionally isSelected(row), and styleOf(row) for a swatch
   */
  constructor(container, label, columns, handlers) {
    Object.assign(this, { container, columns, handlers, rows: [], lit: null, active: null });
    this.heads = columns.map((column) => this.head(column));
    this.body = element("tbody");
    this.widths = columns.map(() => element("col"));
    const filler = element("td"); // fills the remaining width
    const head = element("thead", {}, element("tr", {}, ...this.heads, filler));
    this.table = element(
      "table",
      { role: "grid", "aria-label": label, "aria-multiselectable": "true" },
      element("colgroup", {}, ...this.widths, element("col")),
      head,
      this.body,
    );
    container.append(this.table);
    container.addEventListener("scroll", () => this.render(false));
    new ResizeObserver(() => this.render(false)).observe(container);
    this.body.addEventListener("pointerover", (event) => this.handlers.onPoint(this.rowAt(event)));
    this.body.addEventListener("pointerleave", () => this.handlers.onPoint(null));
    this.body.addEventListener("click", (event) => this.pick(this.rowAt(event)));
    this.body.addEventListener("focusin", (event) => this.handlers.onPoint((this.active = this.rowAt(event))));
    this.body.addEventListener("keydown", (event) => this.onKey(event));
  }

  head(column) {
    const button = element(
      "button",
      { type: "button", onclick: () => this.sortBy(column) },
      column.label ?? column.name,
    );
    return element("th", { scope: "col", className: column.isNumeric ? "number" : "" }, button);
  }

  rowAt(event) {
    const row = event.target.closest("tr[data-row]");
    return row && Number(row.dataset.row);
  }

  /** Fix the widths of the columns by their longest text, so that they do not change with the visible rows. */
  fit(rows) {
    const sizes = this.columns.map((column) =>
      Math.min(
        WIDEST,
        rows.reduce((most, row) => Math.max(most, column.text(row).length), (column.label ?? column.name).length + 2),
      ),
    );
    this.widths.forEach((col, i) => (col.style.width = `calc(${sizes[i]}ch + ${i ? 28 : 50}px)`));
    const sum = sizes.reduce((a, b) => a + b);
    this.table.style.width = `max(100%, calc(${sum}ch + ${28 * sizes.length + 22}px))`;
  }

  sortBy(column, isDescending = this.sorted === column ? !this.isDescending : (column.isBestHigh ?? false)) {
    [this.sorted, this.isDescending] = [column, isDescending];
    this.columns.forEach((other, i) => {
      if (other === column) this.heads[i].setAttribute("aria-sort", isDescending ? "descending" : "ascending");
      else this.heads[i].removeAttribute("aria-sort");
    });
    this.show(this.rows);
  }

  show(rows) {
    this.rows = [...rows].sort(byField(this.sorted, this.isDescending));
    this.table.setAttribute("aria-rowcount", this.rows.length + 1);
    this.container.scrollTop = Math.min(this.container.scrollTop, this.rows.length * ROW_HEIGHT);
    this.render();
  }

  /** Render the visible rows and some around them; unless forced, only if other rows have become visible. */
  render(isForced = true, isAll = false) {
    if (!this.container.offsetParent) return;
    const { scrollTop, clientHeight } = this.container;
    const first = isAll ? 0 : Math.max(0, Math.floor(scrollTop / ROW_HEIGHT / BLOCK) - 1) * BLOCK;
    const last = isAll ? this.rows.length : (Math.ceil((scrollTop + clientHeight) / ROW_HEIGHT / BLOCK) + 1) * BLOCK;
    if (!isForced && first === this.first && last === this.last) return;
    [this.first, this.last] = [first, last];
    const visible = this.rows.slice(first, last);
    const hadFocus = this.body.contains(document.activeElement);
    const reachable = visible.includes(this.active) ? this.active : visible[0];
    this.body.replaceChildren(
      this.space(first),
      ...visible.map((row, i) => this.row(row, first + i, row === reachable)),
      this.space(this.rows.length - first - visible.length),
    );
    if (hadFocus && visible.includes(this.active)) this.element(this.active).focus({ preventScroll: true });
  }

  row(row, index, isReachable) {
    const cells = this.columns.map((column) => {
      const text = column.text(row);
      const isBad = column.name === "status" && ["diverged", "failed"].includes(text);
      return element(
        "td",
        { className: column.isNumeric ? "number" : isBad ? "bad" : "", title: text.length > WIDEST ? text : "" },
        text,
      );
    });
    if (this.handlers.styleOf) cells[0].prepend(swatch(this.handlers.styleOf(row)));
    return element(
      "tr",
      {
        "data-row": row,
        "aria-rowindex": index + 2,
        "aria-selected": String(this.handlers.isSelected?.(row) ?? false),
        tabIndex: isReachable ? 0 : -1,
        className: row === this.lit ? "lit" : "",
      },
      ...cells,
      element("td"),
    );
  }

  space(rows) {
    const cell = element("td", { colSpan: this.columns.length + 1 });
    cell.style.height = `${rows * ROW_HEIGHT}px`;
    return element("tr", { className: "space", hidden: rows <= 0, "aria-hidden": "true" }, cell);
  }

  element(row) {
    return this.body.querySelector(`tr[data-row="${row}"]`);
  }

  /** Highlight a row, and optionally scroll it into view. */
  highlight(row, scrollsIntoView = false) {
    this.lit = row;
    for (const lit of this.body.querySelectorAll(".lit")) lit.classList.remove("lit");
    const index = row === null ? -1 : this.rows.indexOf(row);
    if (index < 0) return;
    if (scrollsIntoView) this.scrollTo(index);
    this.element(row)?.classList.add("lit");
  }

  scrollTo(index) {
    const top = index * ROW_HEIGHT;
    const visibleHeight = this.container.clientHeight - 2 * ROW_HEIGHT;
    const { scrollTop } = this.container;
    if (top < scrollTop || top > scrollTop + visibleHeight) this.container.scrollTop = top - visibleHeight / 2;
    this.render(false);
  }

  pick(row) {
    if (row !== null) this.handlers.onPick(row);
  }

  onKey(event) {
    const index = this.rows.indexOf(this.active);
    const page = Math.floor(this.container.clientHeight / ROW_HEIGHT) - 2;
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" || event.key === " ") this.pick(this.active);
    else if (event.key in moves) {
      const next = Math.max(0, Math.min(this.rows.length - 1, index + moves[event.key]));
      this.active = this.rows[next];
      this.scrollTo(next);
      this.element(this.active).focus({ preventScroll: true });
    } else return;
    event.preventDefault();
  }
}
