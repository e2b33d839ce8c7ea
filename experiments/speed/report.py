"""What steps.py measured, as tables in Markdown and as a plot."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from minitrain.plotting.figures import BLUE, GRAY, GREEN, ORANGE
from minitrain.storage.files import write_atomically

BEGIN, END = "<!-- steps.py writes from here -->", "<!-- to here -->"


@dataclass(frozen=True)
class Group:
    """What is compared with each other: some ways to train as many runs of some cases."""

    title: str
    runs: int
    cases: Sequence[str]
    variants: Sequence[Any]


@dataclass(frozen=True)
class Measured:
    """A case in a group: seconds of a step of a run by variant, one for each round."""

    name: str
    description: str
    times: dict[str, list[float]]
    versions: list[str]

    def quartiles(self, variant: str) -> np.ndarray:
        """In microseconds: the first quartile, the median and the third."""
        return 1e6 * np.quantile(self.times[variant], [0.25, 0.5, 0.75])

    def ratio(self, variant: str, baseline: str) -> float | None:
        """How many times as fast as the baseline, round by round: the median."""
        if baseline not in self.times:
            return None
        return float(np.median(np.divide(self.times[baseline], self.times[variant])))


def table(group: Group, measured: Sequence[Measured], baseline: str) -> str:
    """A row for each case, a column for each variant that was measured."""
    columns = [v.name for v in group.variants if any(v.name in m.times for m in measured)]
    lines = [f"| {group.title} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for m in measured:
        cells = [_cell(m, name, baseline) if name in m.times else "" for name in columns]
        lines.append(f"| {m.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(m: Measured, name: str, baseline: str) -> str:
    low, median, high = m.quartiles(name)
    ratio = m.ratio(name, baseline)
    times = "" if ratio is None or name == baseline else f", **{ratio:.2g}×**"
    return f"{_short(median)} ({_short(low)} to {_short(high)}){times}"


def _short(microseconds: float) -> str:
    """Three digits, without an exponent."""
    return f"{microseconds:,.0f}" if microseconds >= 100 else f"{microseconds:.3g}"


def print_group(group: Group, measured: Sequence[Measured], baseline: str) -> None:
    print(f"\n{table(group, measured, baseline)}\n", flush=True)


def write(path: Path, done: Sequence[tuple[Group, Sequence[Measured]]], baseline: str, rounds: int) -> None:
    """The tables between the markers of a README, or at its end, and steps.png beside it."""
    versions = dict.fromkeys(v for _, measured in done for m in measured for v in m.versions)
    described = {m.name: m.description for _, measured in done for m in measured}
    parts = [
        BEGIN,
        f"Microseconds of a step of one run: median (quartiles) of {rounds} rounds, and how many times as fast as "
        f"{baseline} that is, the median of the rounds. {date.today()}, {_machine()}, Python "
        f"{platform.python_version()}; {', '.join(versions)}.",
        "![The medians and quartiles](steps.png)",
        *(table(group, measured, baseline) for group, measured in done),
        "\n".join(f"- {name}: {text}" for name, text in described.items()),
        END,
    ]
    text = path.read_text() if path.exists() else f"{BEGIN}{END}\n"
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    write_atomically(path, lambda file: file.write((before + "\n\n".join(parts) + after).encode()))
    draw(path.with_name("steps.png"), done)


def _machine() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    named = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return f"{len(named)} cores of {named[0].partition(':')[2].strip()}" if named else platform.processor()


# A library has its colour, a way of using it its marker.
COLOURS = {"minitrain": BLUE, "PyTorch": ORANGE, "JAX": GREEN, "scikit-learn": GRAY}


def draw(path: Path, done: Sequence[tuple[Group, Sequence[Measured]]]) -> None:
    """A panel for each group, a line for each case, a dot for each variant."""
    heights = [len(measured) + 1.2 for _, measured in done]
    figure = Figure(figsize=(9, 0.62 * sum(heights) + 0.4), dpi=120, layout="constrained")
    panes = figure.subplots(len(done), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for pane, (group, measured) in zip(panes, done, strict=True):
        names = [v.name for v in group.variants if any(v.name in m.times for m in measured)]
        for i, name in enumerate(names):
            rows = [(row, m.quartiles(name)) for row, m in enumerate(measured) if name in m.times]
            at, low, median, high = (np.array(column) for column in zip(*((r, *q) for r, q in rows), strict=True))
            at = at + 0.12 * (i - (len(names) - 1) / 2)  # one above the other, so that equal ones are both seen
            library = next(word for word in COLOURS if name.startswith(word))
            earlier = sum(other.startswith(library) for other in names[:i])
            pane.errorbar(
                median, at, xerr=[median - low, high - median], label=name, color=COLOURS[library],
                marker="osD"[earlier], markersize=7 if library != "minitrain" else 9, linestyle="", alpha=0.9,
                zorder=3 if library == "minitrain" else 2,
            )  # fmt: skip
        pane.set_yticks(range(len(measured)), [f"{m.name}\n{m.description.partition(',')[0]}" for m in measured])
        pane.tick_params(labelbottom=True, labelsize=9)
        pane.set_ylim(len(measured) - 0.5, -0.5)
        pane.set_xscale("log")
        pane.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        pane.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        pane.xaxis.set_minor_formatter(NullFormatter())
        pane.grid(alpha=0.3, linewidth=0.6)
        pane.spines[["top", "right"]].set_visible(False)
        pane.set_title(group.title, loc="left", fontsize=11)
        pane.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
    panes[-1].set_xlabel("microseconds of a step of one run")
    write_atomically(path, lambda file: figure.savefig(file, format="png", facecolor="white"))
