// The curves: all runs' lines on one canvas, and on another above it what is pointed at or selected.

const MARGIN = { left: 56, right: 12, top: 8, bottom: 34 };
const REACH = 30; // pixels within which a line is pointed at
const MANY = 300; // lines; they are thinner, and drawn less often

class Curves {
  /** told: pointed(run or null) and picked(run), of what the pointer does */
  constructor(place, told) {
    [this.place, this.told] = [place, told];
    [this.lines, this.marks] = place.querySelectorAll("canvas");
    this.tooltip = place.querySelector("#tooltip");
    Object.assign(this, { metric: null, isLog: false, share: 0, shown: [], colourOf: () => GREY });
    Object.assign(this, { lit: [], selected: [], zoom: null, isWhole: false });
    new ResizeObserver(() => this.draw()).observe(place);
    place.addEventListener("pointermove", (event) => this.onMove(event));
    place.addEventListener("pointerleave", () => this.point(null));
    place.addEventListener("pointerdown", (event) => this.onDown(event));
    place.addEventListener("pointerup", (event) => this.onUp(event));
    place.addEventListener("dblclick", () => this.look({ zoom: null, isWhole: false }));
  }

  /** Change what is shown, and draw it soon: many lines when the next changes, as of typing, have been waited for. */
  look(changes) {
    Object.assign(this, changes);
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.draw(), this.shown.length > MANY ? 60 : 0);
  }

  /** Mark runs without drawing the others anew. */
  mark(changes) {
    Object.assign(this, changes);
    if (!this.waiting && this.pixels) this.drawMarks();
  }

  measure() {
    const drawn = [];
    for (const run of this.shown) {
      const curve = points(this.metric, run, this.share);
      if (curve)
        drawn.push([run, this.isLog ? { x: curve.x, y: curve.y.map((y) => (y > 0 ? Math.log10(y) : NaN)) } : curve]);
    }
    this.curves = new Map(drawn);
    const [xs, ys] = [[], []];
    for (const [, { x, y }] of drawn) {
      xs.push(x[0], x.at(-1));
      const stride = Math.ceil(y.length / 60);
      for (let i = 0; i < y.length; i += stride) ys.push(y[i]);
      ys.push(y.at(-1));
    }
    const finite = ys.filter(Number.isFinite);
    const found = finite.length ? span(finite, this.isWhole) : { low: 0, high: 1, isCut: false };
    const room = 0.04 * (found.high - found.low) || 0.05 * Math.abs(found.high) || 0.5;
    const x = xs.length ? [xs.reduce((a, b) => Math.min(a, b)), xs.reduce((a, b) => Math.max(a, b))] : [0, 1];
    this.isCut = found.isCut;
    this.range = this.zoom ?? { x: [x[0], Math.max(x[1], x[0] + 1)], y: [found.low - room, found.high + room] };
  }

  draw() {
    this.waiting = null;
    const { width, height } = this.place.getBoundingClientRect();
    if (!width || !this.metric) return;
    this.measure();
    const ratio = Math.min(devicePixelRatio || 1, 2);
    for (const canvas of [this.lines, this.marks]) {
      [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
      canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    const box = { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom };
    const {
      x: [x0, x1],
      y: [y0, y1],
    } = this.range;
    this.pixels = {
      box,
      width,
      height,
      x: (x) => box.left + ((x - x0) / (x1 - x0)) * (box.right - box.left),
      y: (y) => box.bottom - ((y - y0) / (y1 - y0)) * (box.bottom - box.top),
      step: (pixel) => x0 + ((pixel - box.left) / (box.right - box.left)) * (x1 - x0),
      value: (pixel) => y0 + ((box.bottom - pixel) / (box.bottom - box.top)) * (y1 - y0),
    };
    const pen = this.lines.getContext("2d");
    this.drawAxes(pen);
    this.clip(pen);
    const many = this.curves.size;
    pen.lineWidth = many > MANY ? 0.8 : many > 40 ? 1.1 : 1.6;
    pen.globalAlpha = many > MANY ? 0.45 : many > 40 ? 0.7 : 0.9;
    for (const run of [...this.curves.keys()].reverse()) this.line(pen, run); // the best above the others
    pen.restore();
    this.drawMarks();
    this.told.drawn();
  }

  drawAxes(pen) {
    const { box, x, y, width, height } = this.pixels;
    const style = getComputedStyle(this.place);
    const [quiet, rule] = [style.color, style.borderTopColor];
    const {
      x: [x0, x1],
      y: [y0, y1],
    } = this.range;
    pen.font = `11px ${style.fontFamily}`;
    pen.lineWidth = 1;
    pen.strokeStyle = rule;
    pen.fillStyle = quiet;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (const tick of this.isLog ? logTicks(y0, y1) : ticks(y0, y1, 6)) {
      const pixel = Math.round(y(tick)) + 0.5;
      pen.beginPath();
      pen.moveTo(box.left, pixel);
      pen.lineTo(box.right, pixel);
      pen.stroke();
      pen.fillText(this.tickText(this.isLog ? 10 ** tick : tick), box.left - 7, pixel);
    }
    pen.textBaseline = "top";
    const most = Math.max(2, Math.floor((box.right - box.left) / 90));
    for (const tick of ticks(x0, x1, most)) {
      if (!Number.isInteger(tick)) continue;
      const text = tick.toLocaleString("en");
      const half = pen.measureText(text).width / 2;
      pen.textAlign = "center";
      pen.fillText(text, Math.min(x(tick), width - half - 1), box.bottom + 6);
    }
    pen.fillText("step", (box.left + box.right) / 2, height - 13);
    if (this.curves.size) return;
    pen.textBaseline = "middle";
    pen.fillText(
      `no run that the filter passes has ${this.metric}`,
      (box.left + box.right) / 2,
      (box.top + box.bottom) / 2,
    );
  }

  tickText(value) {
    return this.metric.includes("accuracy") ? `${rounded(100 * value, 4)}%` : rounded(value, 4);
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
    pen.strokeStyle = this.colourOf(run);
    pen.beginPath();
    for (let i = 0; i < x.length; i++) pen.lineTo(this.pixels.x(x[i]), this.pixels.y(y[i]));
    pen.stroke();
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
    const there = (run) => this.curves.has(run);
    const marked = [...new Set([...this.selected, ...this.lit])].filter(there);
    const ground = getComputedStyle(document.body).backgroundColor;
    for (const run of marked) {
      const isLit = this.lit.includes(run);
      [pen.lineWidth, pen.globalAlpha] = [isLit ? 6 : 4.5, 0.85];
      const colourOf = this.colourOf;
      this.colourOf = () => ground; // a rim, so that it stands out of the others
      this.line(pen, run);
      [this.colourOf, pen.lineWidth, pen.globalAlpha] = [colourOf, isLit ? 3 : 2, 1];
      this.line(pen, run);
    }
    if (this.at) {
      pen.fillStyle = this.colourOf(this.at.run);
      pen.beginPath();
      pen.arc(this.pixels.x(this.at.x), this.pixels.y(this.at.y), 4, 0, 7);
      pen.fill();
    }
    if (this.dragged) {
      const [a, b] = this.dragged;
      pen.fillStyle = pen.strokeStyle = getComputedStyle(this.place).color;
      pen.globalAlpha = 0.15;
      pen.fillRect(a.x, a.y, b.x - a.x, b.y - a.y);
    }
    pen.restore();
  }

  // What is pointed at

  pixel(event) {
    const { left, top } = this.place.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  /** The run whose line is nearest, and the point of its curve that is: {run, x, y, index}; null where none is near. */
  nearest(mouse) {
    const step = this.pixels.step(mouse.x);
    let [found, least] = [null, REACH];
    for (const [run, { x, y }] of this.curves) {
      let [low, high] = [0, x.length - 1];
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (x[middle] <= step) low = middle;
        else high = middle;
      }
      const ends = [low, high].map((i) => ({ x: this.pixels.x(x[i]), y: this.pixels.y(y[i]) }));
      const distance = toSegment(mouse, ...ends);
      if (distance < least) {
        const index = Math.abs(x[low] - step) <= Math.abs(x[high] - step) ? low : high;
        [found, least] = [{ run, index, x: x[index], y: y[index] }, distance];
      }
    }
    return found;
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
    this.told.pointed(at ? at.run : null);
    if (!at) return;
    const raw = data.curves[this.metric][at.run][1][at.index];
    const value = this.isLog ? 10 ** at.y : at.y;
    const rows = keyFields.map((field) => [field.name, field.text(at.run)]);
    rows.push([`${this.metric} at step ${at.x.toLocaleString("en")}`, written(raw, this.metric)]);
    if (this.share) rows.push(["smoothed", written(value, this.metric)]);
    if (data.runs.status[at.run] !== "completed") rows.push(["status", data.runs.status[at.run]]);
    const list = element(
      "dl",
      {},
      ...rows.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]),
    );
    this.tooltip.replaceChildren(swatch(this.colourOf(at.run)), element("b", {}, data.runs.name[at.run]), list);
    const { width, height } = this.tooltip.getBoundingClientRect();
    const left = mouse.x + 18 + width > this.pixels.width ? mouse.x - 18 - width : mouse.x + 18;
    this.tooltip.style.left = `${Math.max(0, left)}px`;
    this.tooltip.style.top = `${Math.max(0, Math.min(mouse.y + 14, this.pixels.height - height))}px`;
  }

  onDown(event) {
    if (event.button !== 0 || event.pointerType !== "mouse") return; // a finger scrolls
    this.from = this.pixel(event);
    this.place.setPointerCapture(event.pointerId);
  }

  onUp(event) {
    const [from, to] = [this.from, this.pixel(event)];
    this.from = this.dragged = null;
    if (from && Math.hypot(to.x - from.x, to.y - from.y) > 8) {
      const sorted = (a, b) => (a < b ? [a, b] : [b, a]);
      const x = sorted(this.pixels.step(from.x), this.pixels.step(to.x));
      const y = sorted(this.pixels.value(from.y), this.pixels.value(to.y));
      if (x[0] < x[1] && y[0] < y[1]) this.look({ zoom: { x, y } });
      return;
    }
    const at = this.pixels && this.nearest(to);
    if (at) this.told.picked(at.run);
  }
}
