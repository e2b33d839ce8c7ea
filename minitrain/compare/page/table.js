// A table of which only the rows in sight are made, so that thousands are as quick as ten.

const ROW = 27; // pixels; as the style says
const BEYOND = 16; // rows are made in so many at once, and as many above and below those in sight
const WIDEST = 44; // characters

class Table {
  /**
   * columns: fields, with a label where it is not their name
   * told: pointed(row or null), picked(row); where rows are picked to stay, isPicked(row); of a swatch, colourOf(row)
   */
  constructor(place, label, columns, told) {
    Object.assign(this, { place, columns, told, rows: [], lit: null, active: null });
    this.heads = columns.map((column) => this.head(column));
    this.body = element("tbody");
    this.widths = columns.map(() => element("col"));
    const head = element("thead", {}, element("tr", {}, ...this.heads, element("td"))); // the last takes what is left
    this.table = element(
      "table",
      { role: "grid", "aria-label": label, "aria-multiselectable": "true" },
      element("colgroup", {}, ...this.widths, element("col")),
      head,
      this.body,
    );
    place.append(this.table);
    place.addEventListener("scroll", () => this.render(false));
    new ResizeObserver(() => this.render(false)).observe(place);
    this.body.addEventListener("pointerover", (event) => this.told.pointed(this.rowAt(event)));
    this.body.addEventListener("pointerleave", () => this.told.pointed(null));
    this.body.addEventListener("click", (event) => this.pick(this.rowAt(event)));
    this.body.addEventListener("focusin", (event) => this.told.pointed((this.active = this.rowAt(event))));
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
    const found = event.target.closest("tr[data-row]");
    return found && Number(found.dataset.row);
  }

  /** Columns as wide as the longest of all their texts, so that they stay while rows come and go. */
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
    this.columns.forEach((each, i) => {
      if (each === column) this.heads[i].setAttribute("aria-sort", isDescending ? "descending" : "ascending");
      else this.heads[i].removeAttribute("aria-sort");
    });
    this.show(this.rows);
  }

  show(rows) {
    this.rows = [...rows].sort(byField(this.sorted, this.isDescending));
    this.table.setAttribute("aria-rowcount", this.rows.length + 1);
    this.place.scrollTop = Math.min(this.place.scrollTop, this.rows.length * ROW);
    this.render();
  }

  /** Make the rows in sight and some around them, which stay until others are needed or they are to look anew. */
  render(isAnew = true, isAll = false) {
    if (!this.place.offsetParent) return;
    const { scrollTop, clientHeight } = this.place;
    const first = isAll ? 0 : Math.max(0, Math.floor(scrollTop / ROW / BEYOND) - 1) * BEYOND;
    const last = isAll ? this.rows.length : (Math.ceil((scrollTop + clientHeight) / ROW / BEYOND) + 1) * BEYOND;
    if (!isAnew && first === this.first && last === this.last) return;
    [this.first, this.last] = [first, last];
    const seen = this.rows.slice(first, last);
    const hadFocus = this.body.contains(document.activeElement);
    const reachable = seen.includes(this.active) ? this.active : seen[0];
    this.body.replaceChildren(
      this.space(first),
      ...seen.map((row, i) => this.row(row, first + i, row === reachable)),
      this.space(this.rows.length - first - seen.length),
    );
    if (hadFocus && seen.includes(this.active)) this.element(this.active).focus({ preventScroll: true });
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
    if (this.told.colourOf) cells[0].prepend(swatch(this.told.colourOf(row)));
    return element(
      "tr",
      {
        "data-row": row,
        "aria-rowindex": index + 2,
        "aria-selected": String(this.told.isPicked?.(row) ?? false),
        tabIndex: isReachable ? 0 : -1,
        className: row === this.lit ? "lit" : "",
      },
      ...cells,
      element("td"),
    );
  }

  space(rows) {
    const cell = element("td", { colSpan: this.columns.length + 1 });
    cell.style.height = `${rows * ROW}px`;
    return element("tr", { className: "space", hidden: rows <= 0, "aria-hidden": "true" }, cell);
  }

  element(row) {
    return this.body.querySelector(`tr[data-row="${row}"]`);
  }

  /** Light a row up, and bring it into sight where asked. */
  light(row, isBrought = false) {
    this.lit = row;
    for (const lit of this.body.querySelectorAll(".lit")) lit.classList.remove("lit");
    const place = row === null ? -1 : this.rows.indexOf(row);
    if (place < 0) return;
    if (isBrought) this.bring(place);
    this.element(row)?.classList.add("lit");
  }

  bring(place) {
    const top = place * ROW;
    const room = this.place.clientHeight - 2 * ROW;
    if (top < this.place.scrollTop || top > this.place.scrollTop + room) this.place.scrollTop = top - room / 2;
    this.render(false);
  }

  pick(row) {
    if (row !== null) this.told.picked(row);
  }

  onKey(event) {
    const place = this.rows.indexOf(this.active);
    const page = Math.floor(this.place.clientHeight / ROW) - 2;
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" || event.key === " ") this.pick(this.active);
    else if (event.key in moves) {
      const next = Math.max(0, Math.min(this.rows.length - 1, place + moves[event.key]));
      this.active = this.rows[next];
      this.bring(next);
      this.element(this.active).focus({ preventScroll: true });
    } else return;
    event.preventDefault();
  }
}
