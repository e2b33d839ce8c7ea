// The colour of each run: ordered colours for numbers, colours that everybody can tell apart for names.

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
const GREY = "#8c8c8c";
const MOST_IN_LEGEND = 10;

function isDark() {
  const chosen = document.documentElement.style.colorScheme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** viridis at 0 to 1, short of the end that the background swallows. */
function viridis(share) {
  const place = (isDark() ? 0.22 + 0.78 * share : 0.9 * share) * (VIRIDIS.length - 1);
  const low = Math.min(Math.floor(place), VIRIDIS.length - 2);
  const channels = [1, 3, 5].map((at) => {
    const [from, to] = [VIRIDIS[low], VIRIDIS[low + 1]].map((colour) => parseInt(colour.slice(at, at + 2), 16));
    return Math.round(from + (to - from) * (place - low));
  });
  return `rgb(${channels.join(" ")})`;
}

/**
 * How a field colours runs: {of: run -> colour, entries: [text, colour] of a legend, range: the lowest and highest of
 * more numbers than a legend lists}.
 */
function colouring(field) {
  return field.isNumeric ? colouringOfNumbers(field) : colouringOfNames(field);
}

function colouringOfNames(field) {
  const names = [...new Set(runs.map(field.value))].sort(collator.compare);
  const colours = new Map(names.map((name, i) => [name, OKABE_ITO[i] ?? GREY]));
  const entries = names.slice(0, OKABE_ITO.length).map((name) => [name, colours.get(name)]);
  const others = names.length - entries.length;
  if (others > 0) entries.push([`${others} others`, GREY]);
  return { of: (run) => colours.get(field.value(run)), entries };
}

function colouringOfNumbers(field) {
  const isKnown = (run) => Number.isFinite(field.value(run));
  const known = new Map(runs.filter(isKnown).map((run) => [field.value(run), field.text(run)]));
  const numbers = [...known.keys()].sort((a, b) => a - b);
  const [low, high] = [numbers[0], numbers.at(-1)];
  const scale = low > 0 && high / low >= 30 ? Math.log : (value) => value; // decades are evenly apart
  const share = (value) => (high > low ? (scale(value) - scale(low)) / (scale(high) - scale(low)) : 0.4);
  const others = new Set(runs.filter((run) => !isKnown(run)).map(field.text));
  const entries = [...others].map((text) => [text, GREY]);
  const isLong = numbers.length > MOST_IN_LEGEND;
  return {
    of: (run) => (isKnown(run) ? viridis(share(field.value(run))) : GREY),
    entries: isLong ? entries : [...numbers.map((value) => [known.get(value), viridis(share(value))]), ...entries],
    range: isLong && [known.get(low), known.get(high)],
  };
}

function showLegend(place, name, { entries, range }) {
  const listed = entries.map(([text, colour]) => element("span", {}, swatch(colour), text));
  place.replaceChildren(element("b", {}, name), ...(range ? [range[0], colourBar(), range[1]] : []), ...listed);
}

function colourBar() {
  const bar = element("canvas", { width: 100, height: 1, role: "img", "aria-label": "from low to high" });
  const pen = bar.getContext("2d");
  for (let x = 0; x < 100; x++) {
    pen.fillStyle = viridis(x / 99);
    pen.fillRect(x, 0, 1, 1);
  }
  return bar;
}

function swatch(colour) {
  const made = element("span", { className: "swatch" });
  made.style.background = colour;
  return made;
}
