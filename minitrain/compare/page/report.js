// The page: what is filtered, pointed at and selected, told to curves, tables and details.

const find = (id) => document.getElementById(id);
const state = { visible: runs, selected: [], isOnlyDiffering: false };
const metrics = Object.keys(data.curves);
const colourable = [...keyFields, statusField, judgedField];
let colours = colouring(colourable[0]);
let bringing = 0;

// The best runs first: their lines are drawn above the others
const ranked = [...runs].sort(byField(judgedField, judge.higher));

const curves = new Curves(find("plot"), {
  pointed: (run) => light(run === null ? [] : [run], true),
  picked: toggle,
  drawn: () => {
    find("whole").hidden = !curves.zoom && !curves.isCut && !curves.isWhole;
    find("whole").textContent = curves.zoom ? "Reset zoom" : curves.isWhole ? "Without outliers" : "With outliers";
  },
});

const judgedName = `${judgedField.name} ${judge.metric}`;
const runColumns = fields.map((field) => {
  if (field === judgedField) return { ...field, label: judgedName, isBestHigh: judge.higher };
  return field === bestField ? { ...field, isBestHigh: judge.higher } : field;
});
const runTable = new Table(find("runs"), "Runs", runColumns, {
  pointed: (run) => light(run === null ? [] : [run]),
  picked: toggle,
  isPicked: (run) => state.selected.includes(run),
  colourOf: (run) => colours.of(run),
});

// Groups: runs that differ in their seed alone

let groups = [];
const firstOf = new Map([...runs].reverse().map((run) => [data.runs.group[run], run]));
const groupField = (name, metric, digits) => {
  const value = (group) => groups[group][name];
  return { name, isNumeric: true, value, text: (group) => written(value(group), metric, digits) };
};
const groupedBy = keyFields.filter((field) => data.groupedBy.includes(field.name));
const ofFirst = (field) => ({
  ...field,
  value: (group) => field.value(firstOf.get(group)),
  text: (group) => field.text(firstOf.get(group)),
});
const meanColumn = { ...groupField("mean", judge.metric), label: `mean ${judgedName}`, isBestHigh: judge.higher };
const groupTable = new Table(
  find("groups"),
  "Groups of runs",
  [
    ...(groupedBy.length
      ? groupedBy.map(ofFirst)
      : [{ name: "all runs", isNumeric: false, value: () => "all", text: () => "all" }]),
    meanColumn,
    { ...groupField("deviation", judge.metric), label: "±" },
    groupField("runs"),
    groupField("diverged"),
    { ...groupField("best", judge.metric), isBestHigh: judge.higher },
    groupField("seconds", "", 3),
  ],
  {
    pointed: (group) => light(group === null ? [] : groups[group].members),
    picked: (group) => {
      find("filter").value = groupedBy.map((field) => termFor(field, firstOf.get(group))).join(" ");
      filter();
    },
  },
);

function group() {
  const members = Array.from(firstOf, () => []);
  for (const run of state.visible) members[data.runs.group[run]].push(run);
  groups = members.map(summed);
  groupTable.show([...groups.keys()].filter((number) => groups[number].members.length));
}

// What a person does

function filter() {
  const { holds, unknown } = readFilter(find("filter").value);
  state.visible = ranked.filter(holds);
  const count = state.visible.length.toLocaleString("en");
  find("found").textContent = unknown.length
    ? `no key ${unknown.join(", ")}`
    : state.visible.length < runs.length
      ? `${count} of ${runs.length.toLocaleString("en")} runs`
      : "";
  runTable.show(state.visible);
  group();
  curves.look({ shown: state.visible });
}

function light(lit, isBrought = false) {
  curves.mark({ lit });
  const run = lit.length === 1 ? lit[0] : null;
  runTable.light(run);
  groupTable.light(lit.length ? data.runs.group[lit[0]] : null);
  clearTimeout(bringing);
  if (isBrought && run !== null) bringing = setTimeout(() => runTable.light(run, true), 150);
}

function toggle(run) {
  select(state.selected.includes(run) ? state.selected.filter((each) => each !== run) : [...state.selected, run]);
}

function select(selected) {
  state.selected = selected;
  find("desk").classList.toggle("with-details", selected.length > 0);
  find("selection").hidden = !selected.length;
  find("selection").textContent = `${selected.length} selected`;
  runTable.render();
  curves.mark({ selected });
  showDetails(find("details"), selected, colours.of, state.isOnlyDiffering, {
    dropped: toggle,
    cleared: () => select([]),
    narrowed: (isOnly) => {
      state.isOnlyDiffering = isOnly;
      select(state.selected);
      find("details").querySelector("input").focus();
    },
  });
}

function colour() {
  const field = colourable[find("colour").selectedIndex];
  colours = colouring(field);
  showLegend(find("legend"), field === judgedField ? judgedName : field.name, colours);
  curves.look({ colourOf: colours.of });
  runTable.render();
  select(state.selected);
}

function chooseMetric() {
  const metric = find("metric").value;
  find("curves").hidden = !metric;
  if (!metric) return;
  const values = data.curves[metric].flatMap((curve) =>
    curve ? [curve[1].reduce((a, b) => Math.min(a, b)), curve[1].at(-1)] : [],
  );
  const [low, high] = [values.reduce((a, b) => Math.min(a, b), Infinity), values.reduce((a, b) => Math.max(a, b), 0)];
  find("log").checked = low > 0 && high / low > 30;
  curves.look({ metric, isLog: find("log").checked, zoom: null, isWhole: false });
  curves.lines.setAttribute("aria-label", `${metric} by step, a line for each run; the table has the same runs`);
}

function showTable(isGroups) {
  find("runs").hidden = isGroups;
  find("groups").hidden = !isGroups;
  find("show-runs").setAttribute("aria-pressed", !isGroups);
  find("show-groups").setAttribute("aria-pressed", isGroups);
  (isGroups ? groupTable : runTable).render();
}

function setTheme(scheme) {
  document.documentElement.style.colorScheme = scheme;
  colour();
}

find("desk").hidden = false;
find("metric").append(...metrics.map((metric) => element("option", {}, metric)));
find("metric").value = judge.metric;
find("colour").append(
  ...colourable.map((field) => element("option", {}, field === judgedField ? judgedName : field.name)),
);
find("filter").placeholder = exampleOf(keyFields.slice(0, 2), ranked[0]);

find("filter").addEventListener("input", filter);
find("search").addEventListener("submit", (event) => event.preventDefault());
find("metric").addEventListener("change", chooseMetric);
find("colour").addEventListener("change", colour);
find("log").addEventListener("change", () => curves.look({ isLog: find("log").checked, zoom: null }));
find("smoothing").addEventListener("input", () => curves.look({ share: find("smoothing").value / 100 }));
find("whole").addEventListener("click", () => curves.look({ isWhole: !curves.zoom && !curves.isWhole, zoom: null }));
find("show-runs").addEventListener("click", () => showTable(false));
find("show-groups").addEventListener("click", () => showTable(true));
find("theme").addEventListener("click", () => setTheme(isDark() ? "light" : "dark"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", colour);
addEventListener("beforeprint", () => {
  const before = document.documentElement.style.colorScheme;
  addEventListener("afterprint", () => setTheme(before), { once: true });
  setTheme("light");
  curves.draw();
  for (const table of [runTable, groupTable]) table.render(true, true);
});

runTable.sorted = runColumns.find((column) => column.name === judgedField.name);
runTable.fit(runs);
runTable.sortBy(runTable.sorted, judge.higher);
groupTable.sorted = meanColumn;
filter();
groupTable.fit([...groups.keys()]);
groupTable.sortBy(meanColumn, judge.higher);
chooseMetric();
colour();
