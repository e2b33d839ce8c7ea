// The filter of runs: `lr<0.5 activation=relu diverged`, terms that must all match.

const OPERATORS = {
  "<=": (a, b) => a <= b,
  ">=": (a, b) => a >= b,
  "!=": (a, b) => a !== b,
  "==": (a, b) => a === b,
  "=": (a, b) => a === b,
  "<": (a, b) => a < b,
  ">": (a, b) => a > b,
};
const TERM = /^([^<>=!"]+)(<=|>=|!=|==|=|<|>)(.*)$/;

const rowTexts = runs.map((run) =>
  fields
    .map((field) => field.text(run))
    .join("\n")
    .toLowerCase(),
);

/** The field that a name refers to: a column, a key or its last part (`widths`); undefined if there is none. */
function fieldNamed(name) {
  const column = fields.find((field) => field.name.replace(" ", "_") === name);
  if (column) return column;
  const key =
    [name, `${name}.name`].find((key) => configOf.has(key)) ??
    [...configOf.keys()].find((key) => key.endsWith(`.${name}`));
  return key === undefined ? undefined : fieldOfTexts(key, configOf.get(key));
}

/** {matches: run -> boolean, unknown: unknown names}; a term without an operator is searched for in the row. */
function readFilter(text) {
  const unknown = [];
  const terms = text.replace(/\s*(<=|>=|!=|==|=|<|>)\s*/g, "$1").match(/(?:"[^"]*"|[^\s"])+/g) ?? [];
  const tests = terms.map((term) => {
    const [, name, operator, text] = TERM.exec(term) ?? [];
    const field = name && fieldNamed(name);
    if (name && !field) unknown.push(name);
    if (!field) {
      const substring = term.replaceAll('"', "").toLowerCase();
      return (run) => rowTexts[run].includes(substring);
    }
    const reference = text.replaceAll('"', "");
    if (reference === "") return () => true; // an incomplete term, still being typed
    const isNumber = field.isNumeric && !Number.isNaN(number(reference));
    if (isNumber) return (run) => OPERATORS[operator](field.value(run), number(reference));
    const isEquality = operator.includes("=") && !/[<>]/.test(operator);
    return isEquality ? (run) => OPERATORS[operator](field.exact(run), reference) : () => false;
  });
  return { matches: (run) => tests.every((test) => test(run)), unknown };
}

/** A term that matches the value of a run. */
function termFor(field, run) {
  const text = field.exact(run);
  return `${field.name}=${/\s/.test(text) ? `"${text}"` : text}`;
}

/** An example for the placeholder. */
function exampleFilter(fields, run) {
  return fields
    .map((field) => {
      const value = field.value(run);
      return Number.isFinite(value) && value ? `${field.name}<=${rounded(value, 2)}` : termFor(field, run);
    })
    .join(" ");
}
