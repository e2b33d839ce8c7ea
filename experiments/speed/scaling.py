"""What stacking saves: the time of a step of a run, from 1 run to 512 in one stack, on one core and on two.

    python experiments/speed/scaling.py

writes scaling.png beside this file and prints the table. Each number is the least of several measurements in turn.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is loaded

import multiprocessing
import time

import numpy as np
from cases import case
from libraries.minitrain import Replayed
from matplotlib.figure import Figure

from minitrain.plotting.figures import BLUE, ORANGE
from minitrain.storage.files import write_atomically

CASES = {"A": BLUE, "digits-Adam": ORANGE}
RUNS = [2**i for i in range(10)]
STEPS, ROUNDS = 10, 5


def measure(name: str, runs: int, core: int) -> float:
    """Seconds of a step of a run, in one stack on one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    trained = Replayed(case(name, runs), at_once=runs)
    trained.steps(STEPS)
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        trained.steps(STEPS)
        times.append((time.perf_counter() - started) / STEPS / runs)
    return min(times)


def main() -> None:
    cores = sorted(os.sched_getaffinity(0))[:2] if hasattr(os, "sched_getaffinity") else [0, 1]
    found: dict[tuple[str, int], list[float]] = {}
    with multiprocessing.get_context("spawn").Pool(len(cores)) as pool:
        for name in CASES:
            for number in (1, len(cores)):
                found[name, number] = []
                for runs in RUNS:
                    jobs = [(name, runs, core) for core in cores[:number]]
                    rates = [1 / seconds for seconds in pool.starmap(measure, jobs, chunksize=1)]
                    found[name, number].append(1e6 / sum(rates))
                    print(f"{name}, {number} cores, stacks of {runs}: {found[name, number][-1]:.3g} us", flush=True)
    figure = Figure(figsize=(7.5, 4.2), dpi=120, layout="constrained")
    pane = figure.subplots()
    for (name, number), times in found.items():
        style = {"color": CASES[name], "linestyle": "-" if number == 1 else "--", "marker": "o", "markersize": 5}
        pane.plot(RUNS, times, label=f"{name}, {number} core{'s' * (number > 1)}", **style)
    pane.set_xscale("log", base=2)
    pane.set_yscale("log")
    pane.set_xticks(RUNS, [str(runs) for runs in RUNS])
    ticks = [5, 10, 20, 50, 100]
    pane.set_yticks(ticks, [str(tick) for tick in ticks])
    pane.minorticks_off()
    pane.set_ylim(min(map(min, found.values())) / 1.3, max(map(max, found.values())) * 1.3)
    pane.set_xlabel("runs in one stack")
    pane.set_ylabel("microseconds of a step of one run")
    pane.grid(alpha=0.3, linewidth=0.6)
    pane.spines[["top", "right"]].set_visible(False)
    pane.legend(frameon=False)
    path = Path(__file__).with_name("scaling.png")
    write_atomically(path, lambda file: figure.savefig(file, format="png", facecolor="white"))
    print("\n| runs in one stack | " + " | ".join(map(str, RUNS)) + " |\n" + "|---" * (len(RUNS) + 1) + "|")
    for (name, number), times in found.items():
        cells = " | ".join(f"{t:.3g}" for t in times)
        print(f"| {name}, {number} core{'s' * (number > 1)} | {cells} |")


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
