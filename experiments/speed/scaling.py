"""The time per step and run for groups of 1 to 512 runs, on one core and on two.

    python experiments/speed/scaling.py

writes scaling.png beside this file and prints a table. Each number is the minimum of several measurements.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is loaded

import multiprocessing
import time

import numpy as np
from cases import case
from libraries.minitrain import Compiled
from matplotlib.figure import Figure

from minitrain.errors import plural
from minitrain.plotting.palette import BLUE, ORANGE
from minitrain.storage.files import write_atomically

CASES = {"A": BLUE, "digits-Adam": ORANGE}
RUNS = [2**i for i in range(10)]
STEPS, ROUNDS = 10, 5


def measure(name: str, runs: int, core: int) -> float:
    """Seconds per step and run of one group on one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    compiled = Compiled(case(name, runs), group_size=runs)
    compiled.steps(STEPS)
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        compiled.steps(STEPS)
        seconds.append((time.perf_counter() - started) / STEPS / runs)
    return min(seconds)


def main() -> None:
    cores = sorted(os.sched_getaffinity(0))[:2] if hasattr(os, "sched_getaffinity") else [0, 1]
    times: dict[tuple[str, int], list[float]] = {}
    with multiprocessing.get_context("spawn").Pool(len(cores)) as pool:
        for name in CASES:
            for number in (1, len(cores)):
                times[name, number] = []
                for runs in RUNS:
                    jobs = [(name, runs, core) for core in cores[:number]]
                    rates = [1 / seconds for seconds in pool.starmap(measure, jobs, chunksize=1)]
                    times[name, number].append(1e6 / sum(rates))
                    print(f"{name}, {number} cores, groups of {runs}: {times[name, number][-1]:.3g} us", flush=True)
    figure = Figure(figsize=(7.5, 4.2), dpi=120, layout="constrained")
    axes = figure.subplots()
    for (name, number), values in times.items():
        style = {"color": CASES[name], "linestyle": "-" if number == 1 else "--", "marker": "o", "markersize": 5}
        axes.plot(RUNS, values, label=f"{name}, {plural(number, 'core')}", **style)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(RUNS, [str(runs) for runs in RUNS])
    ticks = [5, 10, 20, 50, 100]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(min(map(min, times.values())) / 1.3, max(map(max, times.values())) * 1.3)
    axes.set_xlabel("runs in one group")
    axes.set_ylabel("microseconds per step and run")
    axes.grid(alpha=0.3, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    path = Path(__file__).with_name("scaling.png")
    write_atomically(path, lambda file: figure.savefig(file, format="png", facecolor="white"))
    print("\n| runs in one group | " + " | ".join(map(str, RUNS)) + " |\n" + "|---" * (len(RUNS) + 1) + "|")
    for (name, number), values in times.items():
        cells = " | ".join(f"{t:.3g}" for t in values)
        print(f"| {name}, {plural(number, 'core')} | {cells} |")


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
