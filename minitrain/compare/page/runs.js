// The data that compare/report.py writes: columns with one entry for each run, and the format of their values.

const data = JSON.parse(document.getElementById("data").textContent);
const ranking = data.ranking;
const runs = data.runs.name.map((_, run) => run); // a run is identified by its index

const MISSING = "-"; // a key that a run's config does not have
const NONE = [MISSING, "null", "nan"]; // texts that may occur among numbers
const LONGEST_NUMBER = 9; // characters; longer numbers are rounded to five digits
const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?%?$/i;
const collator = new Intl.Collator("en", { numeric: true });

/** The number that a text represents, such as 97%; NaN if it is not a number. */
function number(text) {
  if (/^[-+]?inf$/i.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  return NUMBER.test(text) ? parseFloat(text) / (text.endsWith("%") ? 100 : 1) : NaN;
}

/** A number as text; a share, such as an accuracy, in percent. */
function formatted(value, metric = "", digits = 5) {
  if (value === null || Number.isNaN(value)) return "–";
  return data.metrics[metric]?.isShare ? shareText(value, 2) : rounded(value, digits);
}

/** A share in percent, with as many more decimals as distinguish it from 0% and 100%; as storage/metric.py. */
function shareText(share, digits) {
  for (let decimals = digits; decimals <= 14; decimals++) {
    const text = (100 * share).toFixed(decimals);
    if (share === 0 || share === 1 || ![0, 100].includes(Number(text))) return `${text}%`;
  }
  return `${rounded(100 * share, 1)}%`;
}

/** A number with so many significant digits, without trailing zeros: 0.00125, 1.25e-5, 1250000. */
function rounded(value, digits) {
  const size = Math.abs(value);
  if (size === 0 || (size >= 1e-4 && size < 1e7)) return String(Number(value.toPrecision(digits)));
  return value.toExponential(digits - 1).replace(/\.?0*e\+?/, "e");
}

/** The text of a run in a column, which is one text for all runs or {values, of}. */
function textOf(column, run) {
  return typeof column === "string" ? column : column.values[column.of[run]];
}

/**
 * A field of the runs: its name, whether it is numeric, and for each run the text, the text with all digits, and the
 * value for sorting (NaN for a text among numbers, such as null).
 */
function fieldOfTexts(name, column) {
  const distinct = typeof column === "string" ? [column] : column.values;
  const isNone = (text) => Number.isNaN(number(text));
  const isNumeric = distinct.every((text) => NONE.includes(text) || !isNone(text)) && !distinct.every(isNone);
  const values = distinct.map((text) => (isNumeric ? number(text) : text));
  const of = typeof column === "string" ? () => 0 : (run) => column.of[run];
  const isLong = (text) => isNumeric && text.length > LONGEST_NUMBER && /[.e]/.test(text);
  const texts = distinct.map((text, i) => (isLong(text) ? formatted(values[i]) : text));
  return {
    name,
    isNumeric,
    text: (run) => texts[of(run)],
    exact: (run) => distinct[of(run)],
    value: (run) => values[of(run)],
  };
}

function fieldOfNumbers(name, values, metric, digits) {
  return {
    name,
    isNumeric: true,
    text: (run) => formatted(values[run], metric, digits),
    value: (run) => values[run] ?? NaN,
  };
}

function fieldOfNames(name, values) {
  return {
    name,
    isNumeric: false,
    text: (run) => values[run],
    exact: (run) => values[run],
    value: (run) => values[run],
  };
}

const configOf = new Map(Object.entries(data.config));
const summaryOf = new Map(Object.entries(data.summary));
const keyFields = Object.entries(data.keys).map(([key, column]) => fieldOfTexts(key, column));
const statusField = fieldOfNames("status", data.runs.status);
const lastField = fieldOfNumbers("last", data.runs.last, ranking.metric);
const bestField = fieldOfNumbers("best", data.runs.best, ranking.metric);
const secondsField = fieldOfNumbers("seconds", data.runs.seconds, "", 3);
const scoreField = ranking.column === "last" ? lastField : bestField;
const fields = [
  fieldOfNames("run", data.runs.name),
  ...keyFields,
  statusField,
  lastField,
  bestField,
  fieldOfNumbers("best step", data.runs.bestStep),
  secondsField,
];

/** A comparator: numbers by value, names in natural order (2 before 10), what field.isLast selects and missing values last. */
function byField(field, isDescending) {
  const sign = isDescending ? -1 : 1;
  return (a, b) => {
    const [x, y] = [field.value(a), field.value(b)];
    if (field.isLast && field.isLast(a) !== field.isLast(b)) return field.isLast(a) - field.isLast(b);
    if (!field.isNumeric) return sign * collator.compare(x, y);
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return sign * (x - y);
  };
}

/** The statistics of the runs of a group that match the filter. */
function summarize(members) {
  const known = (field, runs = members) => runs.map(field.value).filter((value) => !Number.isNaN(value));
  const mean = (values) => (values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : NaN);
  const others = members.filter((run) => data.runs.status[run] !== "pruned"); // pruned runs took fewer steps
  const scores = known(scoreField, others.length ? others : members);
  const center = mean(scores);
  const spread = scores.reduce((sum, value) => sum + (value - center) ** 2, 0);
  const best = ranking.higherIsBetter ? Math.max : Math.min;
  return {
    members,
    mean: center,
    deviation: scores.length > 1 ? Math.sqrt(spread / (scores.length - 1)) : NaN,
    best: known(bestField).length ? best(...known(bestField)) : NaN,
    runs: members.length,
    diverged: members.filter((run) => data.runs.status[run] === "diverged").length,
    seconds: mean(known(secondsField)),
  };
}

/** An element with properties, or attributes where it has no such property, and children. */
function element(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children); // strings become text nodes, never markup
  return node;
}
