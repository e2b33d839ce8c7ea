// The page: its state (filter, selection, colors, metric), and how controls, curves, tables and details share it.

const find = (id) => document.getElementById(id);
const state = { visible: runs, selected: [], isOnlyDiffering: false };
const metrics = Object.keys(data.curves);
const colorable = [...keyFields, statusField, scoreField];
let styles = styleScale(colorable[0]);
let scrolling = 0; // the timer of a delayed scroll

// The best runs first; their lines are drawn above the others
const ranked = [...runs].sort(byField(scoreField, ranking.higherIsBetter));

const curves = new Curves(find("plot"), {
  onPoint: (run) => highlight(run === null ? [] : [run], true),
  onPick: toggle,
  onDraw: () => {
    find("whole").hidden = !curves.zoom && !curves.isCut && !curves.isWhole;
    find("whole").textContent = curves.zoom ? "Reset zoom" : curves.isWhole ? "Useful range" : "Whole range";
  },
});

const scoreName = `${scoreField.name} ${ranking.metric}`;
const runColumns = fields.map((field) => {
  if (field === scoreField) return { ...field, label: scoreName, isBestHigh: ranking.higherIsBetter };
  return field === bestField ? { ...field, isBestHigh: ranking.higherIsBetter } : field;
});
const runTable = new Table(find("runs"), "Runs", runColumns, {
  onPoint: (run) => highlight(run === null ? [] : [run]),
  onPick: toggle,
  isSelected: (run) => state.selected.includes(run),
  styleOf: (run) => styles.of(run),
});

// Groups of runs that differ only in seed and fold

let groups = [];
const firstOf = new Map([...runs].reverse().map((run) => [data.runs.group[run], run]));
const groupField = (name, metric, digits) => {
  const value = (group) => groups[group][name];
  return { name, isNumeric: true, value, text: (group) => formatted(value(group), metric, digits) };
};
const groupedBy = keyFields.filter((field) => data.groupedBy.includes(field.name));
const ofFirst = (field) => ({
  ...field,
  value: (group) => field.value(firstOf.get(group)),
  text: (group) => field.text(firstOf.get(group)),
});
const meanColumn = {
  ...groupField("mean", ranking.metric),
  label: `mean ${scoreName}`,
  isBestHigh: ranking.higherIsBetter,
  isLast: (group) => groups[group].diverged > 0 && !ranking.allowsDiverged && groups[group].diverged < groups[group].runs,
};
const inOrder = { name: "order", isNumeric: true, value: (number) => number }; // of groups or runs that are not ranked
const groupTable = new Table(
  find("groups"),
  "Groups of runs",
  [
    ...(groupedBy.length
      ? groupedBy.map(ofFirst)
      : [{ name: "all runs", isNumeric: false, value: () => "all", text: () => "all" }]),
    meanColumn,
    { ...groupField("deviation", ranking.metric), label: "±" },
    groupField("runs"),
    groupField("diverged"),
    { ...groupField("best", ranking.metric), isBestHigh: ranking.higherIsBetter },
    groupField("seconds", "", 3),
  ],
  {
    onPoint: (group) => highlight(group === null ? [] : groups[group].members),
    onPick: (group) => {
      find("filter").value = groupedBy.map((field) => termFor(field, firstOf.get(group))).join(" ");
      updateFilter();
    },
  },
);

function updateGroups() {
  const members = Array.from(firstOf, () => []);
  for (const run of state.visible) members[data.runs.group[run]].push(run);
  groups = members.map(summarize);
  groupTable.show([...groups.keys()].filter((number) => groups[number].members.length));
}

// Actions of the user

function updateFilter() {
  const { matches, unknown } = readFilter(find("filter").value);
  state.visible = ranked.filter(matches);
  const count = state.visible.length.toLocaleString("en");
  find("match-count").textContent = unknown.length
    ? `unknown key: ${unknown.join(", ")}`
    : state.visible.length < runs.length
      ? `${count} of ${runs.length.toLocaleString("en")} runs`
      : "";
  runTable.show(state.visible);
  updateGroups();
  curves.update({ shown: state.visible });
}

function highlight(lit, scrollsIntoView = false) {
  curves.mark({ lit });
  const run = lit.length === 1 ? lit[0] : null;
  runTable.highlight(run);
  groupTable.highlight(lit.length ? data.runs.group[lit[0]] : null);
  clearTimeout(scrolling);
  if (scrollsIntoView && run !== null) scrolling = setTimeout(() => runTable.highlight(run, true), 150);
}

function toggle(run) {
  select(state.selected.includes(run) ? state.selected.filter((other) => other !== run) : [...state.selected, run]);
}

function select(selected) {
  state.selected = selected;
  find("workspace").classList.toggle("with-details", selected.length > 0);
  find("selection").hidden = !selected.length;
  find("selection").textContent = `${selected.length} selected`;
  runTable.render();
  curves.mark({ selected });
  showDetails(find("details"), selected, styles.of, state.isOnlyDiffering, {
    onDrop: toggle,
    onClear: () => select([]),
    onNarrow: (isOnly) => {
      state.isOnlyDiffering = isOnly;
      select(state.selected);
      find("details").querySelector("input").focus();
    },
  });
}

function updateColors() {
  const field = colorable[find("color").selectedIndex];
  styles = styleScale(field);
  showLegend(find("legend"), field === scoreField ? scoreName : field.name, styles);
  curves.update({ styleOf: styles.of });
  runTable.render();
  select(state.selected);
}

function updateMetric() {
  const metric = find("metric").value;
  find("curves").hidden = !metric;
  if (!metric) return;
  const known = data.curves[metric].filter((curve) => curve).map((curve) => curve[1]);
  const { low, high } = wholeSpan(known);
  find("log").checked = !data.metrics[metric].isShare && low > 0 && high / low > 30; // as the figures
  curves.update({ metric, isLog: find("log").checked, zoom: null, isWhole: false });
  curves.lines.setAttribute("aria-label", `${metric} over steps, one line for each run; the table lists the same runs`);
}

function updateSmoothing() {
  const share = find("smoothing").value / 100;
  find("window").textContent = share ? `exponential mean over ±${stepText(Math.round(share * LONGEST), LONGEST)} steps` : "";
  curves.update({ share });
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
  updateColors();
}

find("workspace").hidden = false;
find("metric").append(...metrics.map((metric) => element("option", {}, metric)));
find("metric").value = ranking.metric;
find("color").append(
  ...colorable.map((field) => element("option", {}, field === scoreField ? scoreName : field.name)),
);
find("filter").placeholder = exampleFilter(keyFields.slice(0, 2), ranked[0]);

find("filter").addEventListener("input", updateFilter);
find("search").addEventListener("submit", (event) => event.preventDefault());
find("metric").addEventListener("change", updateMetric);
find("color").addEventListener("change", updateColors);
find("log").addEventListener("change", () => curves.update({ isLog: find("log").checked, zoom: null }));
find("smoothing").addEventListener("input", updateSmoothing);
find("whole").addEventListener("click", () => curves.update({ isWhole: !curves.zoom && !curves.isWhole, zoom: null }));
find("show-runs").addEventListener("click", () => showTable(false));
find("show-groups").addEventListener("click", () => showTable(true));
find("theme").addEventListener("click", () => setTheme(isDark() ? "light" : "dark"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", updateColors);
addEventListener("beforeprint", () => {
  const before = document.documentElement.style.colorScheme;
  addEventListener("afterprint", () => setTheme(before), { once: true });
  setTheme("light");
  curves.draw();
  for (const table of [runTable, groupTable]) table.render(true, true);
});

runTable.sorted = ranking.isRanked ? runColumns.find((column) => column.name === scoreField.name) : inOrder;
runTable.fit(runs);
runTable.sortBy(runTable.sorted, ranking.isRanked && ranking.higherIsBetter);
groupTable.sorted = ranking.isRanked ? meanColumn : inOrder;
updateFilter();
groupTable.fit([...groups.keys()]);
groupTable.sortBy(groupTable.sorted, ranking.isRanked && ranking.higherIsBetter);
updateMetric();
updateColors();
