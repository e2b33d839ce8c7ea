// The style of each run, {color, dash}: sequential colors for numbers, distinct ones for names, as in the figures.

const DASHES = [[], [6, 3], [2, 2], [6, 2, 2, 2]]; // pixels that are drawn and left out
const MOST_IN_LEGEND = 10; // numbers; more of them have a color bar
const UNKNOWN = { color: data.palette.unknown, dash: [] };

function isDark() {
  const chosen = document.documentElement.style.colorScheme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** The color at a share (0 to 1) of the sequential colors, all of which have enough contrast with the background. */
function sequentialColor(share) {
  const colors = isDark() ? data.palette.dark : data.palette.light;
  const position = share * (colors.length - 1);
  const low = Math.min(Math.floor(position), colors.length - 2);
  const channels = [1, 3, 5].map((offset) => {
    const [from, to] = [colors[low], colors[low + 1]].map((color) => parseInt(color.slice(offset, offset + 2), 16));
    return Math.round(from + (to - from) * (position - low));
  });
  return `rgb(${channels.join(" ")})`;
}

function sequentialStyle(share) {
  return { color: sequentialColor(share), dash: [] };
}

/**
 * The styles of runs by a field: {of: run -> style, entries: [text, style] of the legend, range: texts of the lowest
 * and the highest number if there are too many to list}.
 */
function styleScale(field) {
  const scale = data.scales[field.name];
  if (!scale) return field.isNumeric ? numericScale(field, null) : nominalScale(field, null);
  if (!scale.isOrdered) return nominalScale(field, scale.order);
  return field.isNumeric ? numericScale(field, scale.isLog) : ordinalScale(field, scale.order);
}

/** Names without an order: distinct colors, then the same colors with dashes. */
function nominalScale(field, order) {
  const { names } = data.palette;
  const values = order ?? [...new Set(runs.map(field.exact))].sort(collator.compare);
  const style = (i) => ({ color: names[i % names.length], dash: DASHES[Math.floor(i / names.length) % DASHES.length] });
  const styles = new Map(values.map((value, i) => [value, style(i)]));
  const listed = [...styles].slice(0, names.length * DASHES.length);
  const more = styles.size - listed.length;
  return {
    of: (run) => styles.get(field.exact(run)) ?? UNKNOWN,
    entries: more > 0 ? [...listed, [`${more} more with the same styles`, null]] : listed,
  };
}

/** Values with an order that are no numbers, such as lists of widths: evenly spaced colors. */
function ordinalScale(field, order) {
  const styles = new Map(order.map((value, i) => [value, sequentialStyle(order.length > 1 ? i / (order.length - 1) : 0)]));
  const others = new Set(runs.map(field.exact).filter((value) => !styles.has(value)));
  return {
    of: (run) => styles.get(field.exact(run)) ?? UNKNOWN,
    entries: [...styles, ...[...others].map((value) => [value, UNKNOWN])],
  };
}

/** Numbers; isLog: whether their logarithms are evenly spaced, null to decide by the numbers. */
function numericScale(field, isLog) {
  const isKnown = (run) => Number.isFinite(field.value(run));
  const known = new Map(runs.filter(isKnown).map((run) => [field.value(run), field.text(run)]));
  const numbers = [...known.keys()].sort((a, b) => a - b);
  const [low, high] = [numbers[0], numbers.at(-1)];
  const scale = (isLog ?? (low > 0 && numbers.length > 2 && high / low >= 10)) ? Math.log : (value) => value;
  const share = (value) => (high > low ? (scale(value) - scale(low)) / (scale(high) - scale(low)) : 0);
  const others = new Set(runs.filter((run) => !isKnown(run)).map(field.text));
  const entries = [...others].map((text) => [text, UNKNOWN]);
  const isLong = numbers.length > MOST_IN_LEGEND;
  return {
    of: (run) => (isKnown(run) ? sequentialStyle(share(field.value(run))) : UNKNOWN),
    entries: isLong ? entries : [...numbers.map((value) => [known.get(value), sequentialStyle(share(value))]), ...entries],
    range: isLong && [known.get(low), known.get(high)],
  };
}

function showLegend(container, name, { entries, range }) {
  const listed = entries.map(([text, style]) => element("span", {}, ...(style ? [swatch(style)] : []), text));
  container.replaceChildren(element("b", {}, name), ...(range ? [range[0], colorBar(), range[1]] : []), ...listed);
}

function colorBar() {
  const bar = element("canvas", { width: 100, height: 1, role: "img", "aria-label": "from low to high" });
  const pen = bar.getContext("2d");
  for (let x = 0; x < 100; x++) {
    pen.fillStyle = sequentialColor(x / 99);
    pen.fillRect(x, 0, 1, 1);
  }
  return bar;
}

/** A piece of a line in the style. */
function swatch({ color, dash }) {
  const box = element("span", { className: "swatch" });
  const stops = [];
  let at = 0;
  dash.forEach((length, i) => {
    stops.push(`${i % 2 ? "transparent" : color} ${at}px ${at + length}px`);
    at += length;
  });
  box.style.background = dash.length ? `repeating-linear-gradient(90deg, ${stops.join(", ")})` : color;
  return box;
}
