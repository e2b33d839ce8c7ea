"""The measurements of steps.py as Markdown tables and as a plot."""

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

from minitrain.plotting.palette import BLUE, GRAY, GREEN, ORANGE
from minitrain.storage.files import write_atomically

BEGIN, END = "<!-- steps.py writes from here -->", "<!-- to here -->"


@dataclass(frozen=True)
class Group:
    """Variants that are compared with each other on the same cases and the same number of runs."""

    title: str
    runs: int
    cases: Sequence[str]
    variants: Sequence[Any]


@dataclass(frozen=True)
class Measurement:
    """The measurements of a case.

    Attributes:
        name: The case.
        description: Its network and training, for the list below the tables.
        times: Variant -> seconds per step and run, one for each round.
        versions: Of the libraries.
    """

    name: str
    description: str
    times: dict[str, list[float]]
    versions: list[str]

    def quartiles(self, variant: str) -> np.ndarray:
        """First quartile, median and third quartile in microseconds: [3]."""
        return 1e6 * np.quantile(self.times[variant], [0.25, 0.5, 0.75])

    def ratio(self, variant: str, baseline: str) -> float | None:
        """Speed relative to the baseline: the median over rounds; None if the baseline was not measurements."""
        if baseline not in self.times:
            return None
        return float(np.median(np.divide(self.times[baseline], self.times[variant])))


def table(group: Group, measurements: Sequence[Measurement], baseline: str) -> str:
    """A Markdown table: one row per case, one column per variant that was measured."""
    columns = [v.name for v in group.variants if any(v.name in m.times for m in measurements)]
    lines = [f"| {group.title} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for m in measurements:
        cells = [_cell(m, name, baseline) if name in m.times else "" for name in columns]
        lines.append(f"| {m.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(m: Measurement, name: str, baseline: str) -> str:
    low, median, high = m.quartiles(name)
    ratio = m.ratio(name, baseline)
    times = "" if ratio is None or name == baseline else f", **{ratio:.2g}×**"
    return f"{_format(median)} ({_format(low)} to {_format(high)}){times}"


def _format(microseconds: float) -> str:
    """A number with three digits, without an exponent."""
    return f"{microseconds:,.0f}" if microseconds >= 100 else f"{microseconds:.3g}"


def print_group(group: Group, measurements: Sequence[Measurement], baseline: str) -> None:
    print(f"\n{table(group, measurements, baseline)}\n", flush=True)


def write(path: Path, results: Sequence[tuple[Group, Sequence[Measurement]]], baseline: str, rounds: int) -> None:
    """Write the tables between the markers of a README, or to a new file, and steps.png beside it."""
    versions = dict.fromkeys(v for _, measurements in results for m in measurements for v in m.versions)
    described = {m.name: m.description for _, measurements in results for m in measurements}
    parts = [
        BEGIN,
        f"Microseconds per step and run: median (quartiles) of {rounds} rounds, and the speed relative to {baseline}, "
        f"the median over rounds. {date.today()}, {_machine()}, Python "
        f"{platform.python_version()}; {', '.join(versions)}.",
        "![Medians and quartiles](steps.png)",
        *(table(group, measurements, baseline) for group, measurements in results),
        "\n".join(f"- {name}: {text}" for name, text in described.items()),
        END,
    ]
    text = path.read_text() if path.exists() else f"{BEGIN}{END}\n"
    before, _, remainder = text.partition(BEGIN)
    after = remainder.partition(END)[2]
    write_atomically(path, lambda file: file.write((before + "\n\n".join(parts) + after).encode()))
    draw(path.with_name("steps.png"), results)


def _machine() -> str:
    """The number of cores and the name of the processor."""
    info = Path("/proc/cpuinfo")
    models = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return f"{len(models)} cores of {models[0].partition(':')[2].strip()}" if models else platform.processor()


# The color stands for the library, the marker for the way it is used.
COLORS = {"minitrain": BLUE, "PyTorch": ORANGE, "JAX": GREEN, "scikit-learn": GRAY}


def draw(path: Path, results: Sequence[tuple[Group, Sequence[Measurement]]]) -> None:
    """Plot one panel per group, one line per case and one marker per variant."""
    heights = [len(measurements) + 1.2 for _, measurements in results]
    figure = Figure(figsize=(9, 0.62 * sum(heights) + 0.4), dpi=120, layout="constrained")
    panels = figure.subplots(len(results), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for axes, (group, measurements) in zip(panels, results, strict=True):
        names = [v.name for v in group.variants if any(v.name in m.times for m in measurements)]
        for i, name in enumerate(names):
            rows = [(row, m.quartiles(name)) for row, m in enumerate(measurements) if name in m.times]
            at, low, median, high = (np.array(column) for column in zip(*((r, *q) for r, q in rows), strict=True))
            at = at + 0.12 * (i - (len(names) - 1) / 2)  # vertically offset, so that equal values are both visible
            library = next(word for word in COLORS if name.startswith(word))
            earlier = sum(other.startswith(library) for other in names[:i])
            axes.errorbar(
                median, at, xerr=[median - low, high - median], label=name, color=COLORS[library],
                marker="osD"[earlier], markersize=7 if library != "minitrain" else 9, linestyle="", alpha=0.9,
                zorder=3 if library == "minitrain" else 2,
            )  # fmt: skip
        axes.set_yticks(
            range(len(measurements)), [f"{m.name}\n{m.description.partition(',')[0]}" for m in measurements]
        )
        axes.tick_params(labelbottom=True, labelsize=9)
        axes.set_ylim(len(measurements) - 0.5, -0.5)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(group.title, loc="left", fontsize=11)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
    panels[-1].set_xlabel("microseconds per step and run")
    write_atomically(path, lambda file: figure.savefig(file, format="png", facecolor="white"))
