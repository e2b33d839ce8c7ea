// Which runs a person asks for: `lr<0.5 activation=relu diverged`, terms that all have to hold.

const SIGNS = {
  "<=": (a, b) => a <= b,
  ">=": (a, b) => a >= b,
  "!=": (a, b) => a !== b,
  "==": (a, b) => a === b,
  "=": (a, b) => a === b,
  "<": (a, b) => a < b,
  ">": (a, b) => a > b,
};
const TERM = /^([^<>=!"]+)(<=|>=|!=|==|=|<|>)(.*)$/;

const haystacks = runs.map((run) =>
  fields
    .map((field) => field.text(run))
    .join("\n")
    .toLowerCase(),
);

/** The field of a key, its last part (`widths`) or a column's name; undefined where there is none. */
function fieldNamed(name) {
  const column = fields.find((field) => field.name.replace(" ", "_") === name);
  if (column) return column;
  const key =
    [name, `${name}.name`].find((each) => configOf.has(each)) ??
    [...configOf.keys()].find((each) => each.endsWith(`.${name}`));
  return key === undefined ? undefined : fieldOfTexts(key, configOf.get(key));
}

/** {holds: whether a run passes, unknown: names that are no key}. A term without a sign is sought in the run's row. */
function readFilter(text) {
  const unknown = [];
  const terms = text.replace(/\s*(<=|>=|!=|==|=|<|>)\s*/g, "$1").match(/(?:"[^"]*"|[^\s"])+/g) ?? [];
  const tests = terms.map((term) => {
    const [, name, sign, quoted] = TERM.exec(term) ?? [];
    const field = name && fieldNamed(name);
    if (name && !field) unknown.push(name);
    if (!field) {
      const sought = term.replaceAll('"', "").toLowerCase();
      return (run) => haystacks[run].includes(sought);
    }
    const wanted = quoted.replaceAll('"', "");
    if (wanted === "") return () => true; // it is still being typed
    const isNumber = field.isNumeric && !Number.isNaN(number(wanted));
    if (isNumber) return (run) => SIGNS[sign](field.value(run), number(wanted));
    return sign.includes("=") && !/[<>]/.test(sign) ? (run) => SIGNS[sign](field.exact(run), wanted) : () => false;
  });
  return { holds: (run) => tests.every((test) => test(run)), unknown };
}

/** A term that the value of a run passes. */
function termFor(field, run) {
  const text = field.exact(run);
  return `${field.name}=${/\s/.test(text) ? `"${text}"` : text}`;
}

/** What one might type. */
function exampleOf(fields, run) {
  return fields
    .map((field) => {
      const value = field.value(run);
      return Number.isFinite(value) && value ? `${field.name}<=${rounded(value, 2)}` : termFor(field, run);
    })
    .join(" ");
}
