// The plot of curves: one canvas with the lines of all runs, and one above it that highlights runs.

const MARGIN = { left: 56, right: 12, top: 8, bottom: 34 };
const REACH = 30; // pixels: the largest distance between the pointer and the line that it points at
const MANY = 300; // lines, from which they are drawn thinner and less often

class Curves {
  /** handlers: onPoint(run or null), onPick(run), onDraw() */
  constructor(container, handlers) {
    [this.container, this.handlers] = [container, handlers];
    [this.lines, this.marks] = container.querySelectorAll("canvas");
    this.tooltip = container.querySelector("#tooltip");
    Object.assign(this, { metric: null, isLog: false, share: 0, shown: [], styleOf: () => UNKNOWN });
    Object.assign(this, { lit: [], selected: [], zoom: null, isWhole: false });
    new ResizeObserver(() => this.draw()).observe(container);
    container.addEventListener("pointermove", (event) => this.onMove(event));
    container.addEventListener("pointerleave", () => this.point(null));
    container.addEventListener("pointerdown", (event) => this.onDown(event));
    container.addEventListener("pointerup", (event) => this.onUp(event));
    container.addEventListener("dblclick", () => this.update({ zoom: null, isWhole: false }));
  }

  /** Change the state and schedule a redraw; with many lines, it waits for further changes, such as typing. */
  update(changes) {
    Object.assign(this, changes);
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.draw(), this.shown.length > MANY ? 60 : 0);
  }

  /** Highlight runs without redrawing the lines. */
  mark(changes) {
    Object.assign(this, changes);
    if (!this.waiting && this.pixels) this.drawMarks();
  }

  measure() {
    const entries = [];
    for (const run of this.shown) {
      const curve = points(this.metric, run, this.share, this.isLog);
      if (curve) entries.push([run, curve]);
    }
    this.curves = new Map(entries);
    const xs = entries.flatMap(([, { x }]) => [x[0], x.at(-1)]);
    const curves = entries.map(([, { y }]) => y.filter(Number.isFinite)).filter((y) => y.length);
    const whole = curves.length ? wholeSpan(curves) : { low: 0, high: 1 };
    const range = this.isWhole || !curves.length ? whole : this.usefulRange(curves);
    const margin = 0.04 * (range.high - range.low) || 0.05 * Math.abs(range.high) || 0.5;
    const x = xs.length ? [xs.reduce((a, b) => Math.min(a, b)), xs.reduce((a, b) => Math.max(a, b))] : [0, 1];
    this.cut = { below: whole.low < range.low, above: whole.high > range.high };
    this.range = this.zoom ?? { x: [x[0], Math.max(x[1], x[0] + 1)], y: [range.low - margin, range.high + margin] };
  }

  /** The range without the initial rise of accuracies, or without outliers of other metrics. */
  usefulRange(curves) {
    if (data.metrics[this.metric].isShare && !this.isLog) return usefulSpan(curves);
    const sampled = curves.flatMap((y) => {
      const stride = Math.ceil(y.length / 60);
      return [...y.filter((_, i) => i % stride === 0), y.at(-1)];
    });
    return span(sampled);
  }

  get isCut() {
    return this.cut.below || this.cut.above;
  }

  draw() {
    this.waiting = null;
    const { width, height } = this.container.getBoundingClientRect();
    if (!width || !this.metric) return;
    this.measure();
    const ratio = Math.min(devicePixelRatio || 1, 2);
    for (const canvas of [this.lines, this.marks]) {
      [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
      canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    const {
      x: [x0, x1],
      y: [y0, y1],
    } = this.range;
    const pen = this.lines.getContext("2d");
    pen.font = this.font;
    const labels = this.yTicks.map(([, text]) => pen.measureText(text).width);
    const left = Math.max(MARGIN.left, ...labels.map((label) => label + 12)); // the longest label is not cut off
    const box = { left, right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom };
    this.pixels = {
      box,
      width,
      height,
      x: (x) => box.left + ((x - x0) / (x1 - x0)) * (box.right - box.left),
      y: (y) => box.bottom - ((y - y0) / (y1 - y0)) * (box.bottom - box.top),
      step: (pixel) => x0 + ((pixel - box.left) / (box.right - box.left)) * (x1 - x0),
      value: (pixel) => y0 + ((box.bottom - pixel) / (box.bottom - box.top)) * (y1 - y0),
    };
    this.drawAxes(pen);
    this.clip(pen);
    const count = this.curves.size;
    pen.lineWidth = count > MANY ? 0.8 : count > 40 ? 1.1 : 1.6;
    for (const run of [...this.curves.keys()].reverse()) this.line(pen, run); // the best above the others
    pen.restore();
    this.drawMarks();
    this.handlers.onDraw();
  }

  get font() {
    return `11px ${getComputedStyle(this.container).fontFamily}`;
  }

  /** The ticks of the y-axis: [place, text]. */
  get yTicks() {
    const [y0, y1] = this.range.y;
    const places = this.isLog ? logTicks(y0, y1) : ticks(y0, y1, 6);
    return places.map((tick) => [tick, this.tickText(this.isLog ? 10 ** tick : tick)]);
  }

  drawAxes(pen) {
    const { box, x, y, width, height } = this.pixels;
    const style = getComputedStyle(this.container);
    const [textColor, gridColor] = [style.color, style.borderTopColor];
    const [x0, x1] = this.range.x;
    pen.font = this.font;
    pen.lineWidth = 1;
    pen.strokeStyle = gridColor;
    pen.fillStyle = textColor;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (const [tick, text] of this.yTicks) {
      const pixel = Math.round(y(tick)) + 0.5;
      pen.beginPath();
      pen.moveTo(box.left, pixel);
      pen.lineTo(box.right, pixel);
      pen.stroke();
      pen.fillText(text, box.left - 7, pixel);
    }
    if (!this.zoom) this.drawCropMarks(pen);
    pen.textBaseline = "top";
    const most = Math.max(2, Math.floor((box.right - box.left) / 90));
    for (const tick of ticks(x0, x1, most)) {
      if (!Number.isInteger(tick)) continue;
      const text = stepText(tick, x1);
      const half = pen.measureText(text).width / 2;
      pen.textAlign = "center";
      pen.fillText(text, Math.min(x(tick), width - half - 1), box.bottom + 6);
    }
    pen.fillText("step", (box.left + box.right) / 2, height - 13);
    if (this.curves.size) return;
    pen.textBaseline = "middle";
    pen.fillText(
      `no run that matches the filter has ${this.metric}`,
      (box.left + box.right) / 2,
      (box.top + box.bottom) / 2,
    );
  }

  /** Two strokes across an end of the y-axis beyond which there are values. */
  drawCropMarks(pen) {
    const { left, top, bottom } = this.pixels.box;
    const ends = [...(this.cut.below ? [bottom] : []), ...(this.cut.above ? [top + 6] : [])];
    pen.strokeStyle = pen.fillStyle;
    pen.beginPath();
    for (const y of ends.flatMap((end) => [end, end - 4])) {
      pen.moveTo(left - 5, y + 2);
      pen.lineTo(left + 5, y - 2);
    }
    pen.stroke();
  }

  tickText(value) {
    return data.metrics[this.metric].isShare ? shareText(Number(value.toFixed(9)), 4).replace(/\.?0+%$/, "%") : rounded(value, 4);
  }

  clip(pen) {
    const { left, right, top, bottom } = this.pixels.box;
    pen.save();
    pen.beginPath();
    pen.rect(left, top - 2, right - left + 2, bottom - top + 4);
    pen.clip();
    pen.lineJoin = "round";
  }

  line(pen, run) {
    const { x, y } = this.curves.get(run);
    const { color, dash } = this.styleOf(run);
    pen.strokeStyle = color;
    pen.setLineDash(dash);
    pen.beginPath();
    for (let i = 0; i < x.length; i++) pen.lineTo(this.pixels.x(x[i]), this.pixels.y(y[i]));
    pen.stroke();
    pen.setLineDash([]);
    if (data.runs.status[run] === "diverged" || x.length === 1)
      this.cross(pen, this.pixels.x(x.at(-1)), this.pixels.y(y.at(-1)));
  }

  cross(pen, x, y) {
    pen.beginPath();
    for (const side of [-3, 3]) {
      pen.moveTo(x - 3, y - side);
      pen.lineTo(x + 3, y + side);
    }
    pen.stroke();
  }

  drawMarks() {
    const pen = this.marks.getContext("2d");
    pen.clearRect(0, 0, this.pixels.width, this.pixels.height);
    this.clip(pen);
    const marked = [...new Set([...this.selected, ...this.lit])].filter((run) => this.curves.has(run));
    const background = getComputedStyle(document.body).backgroundColor;
    for (const run of marked) {
      const isLit = this.lit.includes(run);
      [pen.lineWidth, pen.globalAlpha] = [isLit ? 6 : 4.5, 0.85];
      const styleOf = this.styleOf;
      this.styleOf = () => ({ color: background, dash: [] }); // an outline that separates it from the other lines
      this.line(pen, run);
      [this.styleOf, pen.lineWidth, pen.globalAlpha] = [styleOf, isLit ? 3 : 2, 1];
      this.line(pen, run);
    }
    if (this.at) {
      pen.fillStyle = this.styleOf(this.at.run).color;
      pen.beginPath();
      pen.arc(this.pixels.x(this.at.x), this.pixels.y(this.at.y), 4, 0, 7);
      pen.fill();
    }
    if (this.dragged) {
      const [a, b] = this.dragged;
      pen.fillStyle = pen.strokeStyle = getComputedStyle(this.container).color;
      pen.globalAlpha = 0.15;
      pen.fillRect(a.x, a.y, b.x - a.x, b.y - a.y);
    }
    pen.restore();
  }

  // Pointer events

  pixel(event) {
    const { left, top } = this.container.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  /** The nearest run and the nearest point of its curve: {run, x, y, index}; null if no line is within reach. */
  nearest(mouse) {
    const step = this.pixels.step(mouse.x);
    let [nearest, least] = [null, REACH];
    for (const [run, { x, y }] of this.curves) {
      let [low, high] = [0, x.length - 1];
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (x[middle] <= step) low = middle;
        else high = middle;
      }
      const ends = [low, high].map((i) => ({ x: this.pixels.x(x[i]), y: this.pixels.y(y[i]) }));
      const distance = distanceToSegment(mouse, ...ends);
      if (distance < least) {
        const index = Math.abs(x[low] - step) <= Math.abs(x[high] - step) ? low : high;
        [nearest, least] = [{ run, index, x: x[index], y: y[index] }, distance];
      }
    }
    return nearest;
  }

  onMove(event) {
    const mouse = this.pixel(event);
    if (this.from) {
      this.dragged = [this.from, mouse];
      this.drawMarks();
    } else if (this.pixels) this.point(this.nearest(mouse), mouse);
  }

  point(at, mouse) {
    this.at = at;
    this.tooltip.hidden = !at;
    this.handlers.onPoint(at ? at.run : null);
    if (!at) return;
    const raw = data.curves[this.metric][at.run][1][at.index];
    const value = this.isLog ? 10 ** at.y : at.y;
    const rows = keyFields.map((field) => [field.name, field.text(at.run)]);
    rows.push([`${this.metric} at step ${at.x.toLocaleString("en")}`, formatted(raw, this.metric)]);
    if (this.share) rows.push(["smoothed", formatted(value, this.metric)]);
    if (data.runs.status[at.run] !== "completed") rows.push(["status", data.runs.status[at.run]]);
    const list = element(
      "dl",
      {},
      ...rows.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]),
    );
    this.tooltip.replaceChildren(swatch(this.styleOf(at.run)), element("b", {}, data.runs.name[at.run]), list);
    const { width, height } = this.tooltip.getBoundingClientRect();
    const left = mouse.x + 18 + width > this.pixels.width ? mouse.x - 18 - width : mouse.x + 18;
    this.tooltip.style.left = `${Math.max(0, left)}px`;
    this.tooltip.style.top = `${Math.max(0, Math.min(mouse.y + 14, this.pixels.height - height))}px`;
  }

  onDown(event) {
    if (event.button !== 0 || event.pointerType !== "mouse") return; // touch scrolls the page
    this.from = this.pixel(event);
    this.container.setPointerCapture(event.pointerId);
  }

  onUp(event) {
    const [from, to] = [this.from, this.pixel(event)];
    this.from = this.dragged = null;
    if (from && Math.hypot(to.x - from.x, to.y - from.y) > 8) {
      const sorted = (a, b) => (a < b ? [a, b] : [b, a]);
      const x = sorted(this.pixels.step(from.x), this.pixels.step(to.x));
      const y = sorted(this.pixels.value(from.y), this.pixels.value(to.y));
      if (x[0] < x[1] && y[0] < y[1]) this.update({ zoom: { x, y } });
      return;
    }
    const at = this.pixels && this.nearest(to);
    if (at) this.handlers.onPick(at.run);
  }
}
