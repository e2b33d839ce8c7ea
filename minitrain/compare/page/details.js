// The configs and summaries of the selected runs, side by side, with differences highlighted.

/** Rows [name, texts of the runs, whether they differ]; a single run is compared with all other runs. */
function rowsOf(columns, selected) {
  return [...columns].map(([name, column]) => {
    const texts = selected.map((run) => textOf(column, run));
    const differs = selected.length > 1 ? new Set(texts).size > 1 : typeof column !== "string";
    return [name, texts, differs];
  });
}

/** handlers: onDrop(run), onClear(), onNarrow(whether only differences are shown) */
function showDetails(container, selected, styleOf, isOnlyDiffering, handlers) {
  container.hidden = !selected.length;
  if (!selected.length) return container.replaceChildren();

  const only = element("input", {
    type: "checkbox",
    checked: isOnlyDiffering,
    onchange: () => handlers.onNarrow(only.checked),
  });
  const bar = element(
    "div",
    { className: "bar" },
    element("strong", {}, selected.length === 1 ? "Selected run" : `${selected.length} selected runs`),
    element("label", {}, only, " Only differences"),
    element("button", { type: "button", onclick: handlers.onClear }, "Clear"),
  );

  const heads = selected.map((run) => {
    const drop = element("button", { type: "button", onclick: () => handlers.onDrop(run) }, "×");
    drop.setAttribute("aria-label", `Deselect ${data.runs.name[run]}`);
    return element("th", { scope: "col" }, swatch(styleOf(run)), data.runs.name[run], " ", drop);
  });

  const outcome = ["error", "first_operation", "first_parameter"].filter((name) => summaryOf.has(name));
  const ofRun = (values) => ({ values, of: runs });
  const parts = {
    Run: [
      ["status", ofRun(data.runs.status)],
      ...outcome.map((name) => [name, summaryOf.get(name)]),
      ["directory", ofRun(data.runs.directory)],
    ],
    Config: configOf,
    Summary: [...summaryOf].filter(([name]) => !outcome.includes(name)),
  };
  const bodies = Object.entries(parts).map(([title, columns]) => {
    const isConfig = title === "Config";
    const rows = rowsOf(columns, selected)
      .filter(([, texts, differs]) => texts.some((text) => text !== MISSING) && (differs || !isOnlyDiffering))
      .sort((a, b) => (isConfig ? b[2] - a[2] : 0))
      .map(([name, texts, differs]) =>
        element(
          "tr",
          { className: isConfig && differs ? "differs" : "" },
          element("th", { scope: "row" }, name),
          ...texts.map((text) => element("td", {}, text)),
        ),
      );
    return element(
      "tbody",
      {},
      element("tr", {}, element("th", { colSpan: selected.length + 1, scope: "colgroup" }, title)),
      ...rows,
    );
  });
  container.replaceChildren(
    bar,
    element("table", {}, element("thead", {}, element("tr", {}, element("td"), ...heads)), ...bodies),
  );
}
