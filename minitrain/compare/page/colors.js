// The color of each run: a sequential scale for numbers, a color-blind-safe palette for names.

const VIRIDIS = [
  "#440154",
  "#482878",
  "#3e4989",
  "#31688e",
  "#26828e",
  "#1f9e89",
  "#35b779",
  "#6ece58",
  "#b5de2b",
  "#fde725",
];
const OKABE_ITO = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#c9b800"];
const GRAY = "#8c8c8c";
const MOST_IN_LEGEND = 10;

function isDark() {
  const chosen = document.documentElement.style.colorScheme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** The color at a share (0 to 1) of viridis, without the end that has too little contrast with the background. */
function viridis(share) {
  const position = (isDark() ? 0.22 + 0.78 * share : 0.9 * share) * (VIRIDIS.length - 1);
  const low = Math.min(Math.floor(position), VIRIDIS.length - 2);
  const channels = [1, 3, 5].map((offset) => {
    const [from, to] = [VIRIDIS[low], VIRIDIS[low + 1]].map((color) => parseInt(color.slice(offset, offset + 2), 16));
    return Math.round(from + (to - from) * (position - low));
  });
  return `rgb(${channels.join(" ")})`;
}

/**
 * The colors of runs by a field: {of: run -> color, entries: [text, color] of the legend, range: texts of the lowest
 * and the highest number if there are too many to list}.
 */
function colorScale(field) {
  return field.isNumeric ? sequentialScale(field) : categoricalScale(field);
}

function categoricalScale(field) {
  const names = [...new Set(runs.map(field.value))].sort(collator.compare);
  const colors = new Map(names.map((name, i) => [name, OKABE_ITO[i] ?? GRAY]));
  const entries = names.slice(0, OKABE_ITO.length).map((name) => [name, colors.get(name)]);
  const others = names.length - entries.length;
  if (others > 0) entries.push([`${others} others`, GRAY]);
  return { of: (run) => colors.get(field.value(run)), entries };
}

function sequentialScale(field) {
  const isKnown = (run) => Number.isFinite(field.value(run));
  const known = new Map(runs.filter(isKnown).map((run) => [field.value(run), field.text(run)]));
  const numbers = [...known.keys()].sort((a, b) => a - b);
  const [low, high] = [numbers[0], numbers.at(-1)];
  const scale = low > 0 && high / low >= 30 ? Math.log : (value) => value; // decades are evenly spaced
  const share = (value) => (high > low ? (scale(value) - scale(low)) / (scale(high) - scale(low)) : 0.4);
  const others = new Set(runs.filter((run) => !isKnown(run)).map(field.text));
  const entries = [...others].map((text) => [text, GRAY]);
  const isLong = numbers.length > MOST_IN_LEGEND;
  return {
    of: (run) => (isKnown(run) ? viridis(share(field.value(run))) : GRAY),
    entries: isLong ? entries : [...numbers.map((value) => [known.get(value), viridis(share(value))]), ...entries],
    range: isLong && [known.get(low), known.get(high)],
  };
}

function showLegend(container, name, { entries, range }) {
  const listed = entries.map(([text, color]) => element("span", {}, swatch(color), text));
  container.replaceChildren(element("b", {}, name), ...(range ? [range[0], colorBar(), range[1]] : []), ...listed);
}

function colorBar() {
  const bar = element("canvas", { width: 100, height: 1, role: "img", "aria-label": "from low to high" });
  const pen = bar.getContext("2d");
  for (let x = 0; x < 100; x++) {
    pen.fillStyle = viridis(x / 99);
    pen.fillRect(x, 0, 1, 1);
  }
  return bar;
}

function swatch(color) {
  const box = element("span", { className: "swatch" });
  box.style.background = color;
  return box;
}
