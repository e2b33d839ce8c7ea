// The runs, as minitrain/report.py left them: columns, with an entry for each run, and how their values are written.

const data = JSON.parse(document.getElementById("data").textContent);
const judge = data.judge;
const runs = data.runs.name.map((_, run) => run); // a run is its number

const MISSING = "-"; // a key that a run's config does not have
const NONE = [MISSING, "null", "nan"]; // what may stand among numbers
const LONGEST_NUMBER = 9; // characters; of longer ones five digits are shown
const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?%?$/i;
const collator = new Intl.Collator("en", { numeric: true });

/** The number that a text is, 97% included; NaN for what is none. */
function number(text) {
  if (/^[-+]?inf$/i.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  return NUMBER.test(text) ? parseFloat(text) / (text.endsWith("%") ? 100 : 1) : NaN;
}

/** A number as it is read; a share of right answers in percent. */
function written(value, metric = "", digits = 5) {
  if (value === null || Number.isNaN(value)) return "–";
  return metric.includes("accuracy") ? `${(100 * value).toFixed(2)}%` : rounded(value, digits);
}

/** 0.00125, 1.25e-5, 1250000: a number to so many digits, without zeros at its end. */
function rounded(value, digits) {
  const size = Math.abs(value);
  if (size === 0 || (size >= 1e-4 && size < 1e7)) return String(Number(value.toPrecision(digits)));
  return value.toExponential(digits - 1).replace(/\.?0*e\+?/, "e");
}

/** What a column, of one text for all runs or of {values, of}, says of a run. */
function textOf(column, run) {
  return typeof column === "string" ? column : column.values[column.of[run]];
}

/**
 * A field of the runs: its name, whether it is of numbers, and of each run the text, the text in all digits, and the
 * value that sorts it, NaN for what is none among numbers, as null is.
 */
function fieldOfTexts(name, column) {
  const distinct = typeof column === "string" ? [column] : column.values;
  const isNone = (text) => Number.isNaN(number(text));
  const isNumeric = distinct.every((text) => NONE.includes(text) || !isNone(text)) && !distinct.every(isNone);
  const values = distinct.map((text) => (isNumeric ? number(text) : text));
  const of = typeof column === "string" ? () => 0 : (run) => column.of[run];
  const isLong = (text) => isNumeric && text.length > LONGEST_NUMBER && /[.e]/.test(text);
  const texts = distinct.map((text, i) => (isLong(text) ? written(values[i]) : text));
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
    text: (run) => written(values[run], metric, digits),
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
const lastField = fieldOfNumbers("last", data.runs.last, judge.metric);
const bestField = fieldOfNumbers("best", data.runs.best, judge.metric);
const secondsField = fieldOfNumbers("seconds", data.runs.seconds, "", 3);
const judgedField = judge.column === "last" ? lastField : bestField;
const fields = [
  fieldOfNames("run", data.runs.name),
  ...keyFields,
  statusField,
  lastField,
  bestField,
  fieldOfNumbers("best step", data.runs.bestStep),
  secondsField,
];

/** What sorts by a field: numbers by size, names as people count (2 before 10), and what is missing last. */
function byField(field, isDescending) {
  const sign = isDescending ? -1 : 1;
  return (a, b) => {
    const [x, y] = [field.value(a), field.value(b)];
    if (!field.isNumeric) return sign * collator.compare(x, y);
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return sign * (x - y);
  };
}

/** How a group of runs does: those of it that the filter passes. */
function summed(members) {
  const known = (field) => members.map(field.value).filter((value) => !Number.isNaN(value));
  const mean = (values) => (values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : NaN);
  const judged = known(judgedField);
  const center = mean(judged);
  const spread = judged.reduce((sum, value) => sum + (value - center) ** 2, 0);
  const best = judge.higher ? Math.max : Math.min;
  return {
    members,
    mean: center,
    deviation: judged.length > 1 ? Math.sqrt(spread / (judged.length - 1)) : NaN,
    best: known(bestField).length ? best(...known(bestField)) : NaN,
    runs: members.length,
    diverged: members.filter((run) => data.runs.status[run] === "diverged").length,
    seconds: mean(known(secondsField)),
  };
}

/** An element with attributes, or properties where it has such, and children. */
function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children); // texts become text, never markup
  return made;
}
