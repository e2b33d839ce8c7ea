"""The time of a training step of small networks, in minitrain and its peers: side by side in one run, in turn.

    python experiments/speed/steps.py [--only A,B] [--rounds 9] [--output README.md]

needs the extra `speed`; a library that is not installed is left out. Each library trains each case in a process of
its own, with one thread on one core where nothing else is said, float32, from the same weights on the same data.
Their first losses are compared before anything is timed. Then every round measures each of them once, in turn.
The tables are printed, and written with a plot, steps.png, into README.md beside this file: all cases, or those of
`--only` into another file that `--output` names.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from cases import NAMES, STACKED, case
from report import Group, Measured, print_group, write

HERE = Path(__file__).parent
COMPARED = 20  # losses, before anything is timed
# float32 rounds to 6e-8; libraries add up in other orders, and 20 updates make more of the difference.
TOLERANCE = 1e-4
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))

BASELINE = "PyTorch eager"


@dataclass(frozen=True)
class Variant:
    """A library used in one way: a class of libraries/, its runs shared by some processes with some cores each."""

    name: str
    module: str
    cls: str
    processes: int = 1
    cores: int = 1


EAGER = Variant(BASELINE, "pytorch", "Eager")
ONE_RUN = [
    Variant("minitrain", "minitrain", "Replayed"),
    EAGER,
    Variant("JAX jit", "jax", "PerStep"),
    Variant("JAX scan", "jax", "Scan"),
    Variant("scikit-learn", "scikit_learn", "Fit"),
]
ONE_CORE = [
    Variant("minitrain stacked", "minitrain", "Replayed"),
    EAGER,
    Variant("PyTorch stacked", "pytorch", "Stacked"),
    Variant("JAX vmap(scan)", "jax", "Stacked"),
]
TWO_CORES = [
    Variant("minitrain stacked, 2 processes", "minitrain", "Replayed", processes=2),
    EAGER,
    Variant("PyTorch stacked, 2 processes", "pytorch", "Stacked", processes=2),
    Variant("JAX vmap(scan), 2 threads", "jax", "Stacked", cores=2),
    Variant("JAX vmap(scan), 2 processes", "jax", "Stacked", processes=2),
]
GROUPS = [
    Group("One run, one core", 1, NAMES, ONE_RUN),
    Group(f"{STACKED} runs, one core", STACKED, ("A", "B", "digits-Adam"), ONE_CORE),
    Group(f"{STACKED} runs, two cores", STACKED, ("A", "B", "digits-Adam"), TWO_CORES),
]


class Worker:
    """A process that has some runs of a case, by lines of JSON."""

    def __init__(self, variant: Variant, name: str, runs: int, first: int, last: int, cores: list[int]) -> None:
        arguments = [variant.module, variant.cls, name, runs, first, last, ",".join(map(str, cores))]
        threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
        if len(cores) == 1:
            threads["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(HERE.parents[1]), "JAX_PLATFORMS": "cpu", **threads},
        )

    def ask(self, line: str) -> None:
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"steps.py: {' '.join(self.process.args[1:])} ended without an answer; its message is above")
        return json.loads(line)

    def close(self) -> None:
        self.process.communicate()  # the end of its input is its end


class Contestant:
    """A variant with a case: its workers, asked together."""

    def __init__(self, variant: Variant, name: str, runs: int) -> None:
        self.name = variant.name
        ends = [runs * i // variant.processes for i in range(variant.processes + 1)]
        # From the last core down: interrupts are most often served by the first.
        cores = CORES[::-1][: variant.processes * variant.cores]
        self.workers = [
            Worker(variant, name, runs, first, last, cores[i * variant.cores : (i + 1) * variant.cores])
            for i, (first, last) in enumerate(pairwise(ends))
        ]
        self.runs = np.diff(ends)
        self.about, *_ = [worker.answer() for worker in self.workers]

    def asked(self, line: str) -> list:
        for worker in self.workers:
            worker.ask(line)
        return [worker.answer() for worker in self.workers]

    def losses(self, steps: int) -> np.ndarray | None:
        parts = self.asked(f"losses {steps}")
        return None if parts[0] is None else np.concatenate(parts)

    def seconds(self, steps: int) -> float:
        """Of a step of a run. Processes side by side add their rates."""
        rates = self.runs * steps / np.array(self.asked(f"measure {steps}"))
        return 1 / float(rates.sum())

    def close(self) -> None:
        for worker in self.workers:
            worker.close()


@contextmanager
def contestants(group: Group, name: str) -> Iterator[list[Contestant]]:
    """Those that have the case, all at their start."""
    with ExitStack() as stack:
        ready = []
        for variant in group.variants:
            contestant = Contestant(variant, name, group.runs)
            stack.callback(contestant.close)
            if "skipped" in contestant.about:
                print(f"{name}: {variant.name} is left out: {contestant.about['skipped']}", flush=True)
            else:
                ready.append(contestant)
        yield ready


def compare(name: str, ready: list[Contestant]) -> None:
    """Stop where a library does not compute what the first does."""
    losses = [(c.name, found) for c in ready if (found := c.losses(COMPARED)) is not None]
    for other, found in losses[1:]:
        first, expected = losses[0]
        off = np.abs(found / expected - 1)
        if not (off < TOLERANCE).all():
            run, step = np.argwhere(~(off < TOLERANCE))[0]
            sys.exit(
                f"steps.py: case {name}: the loss of run {run} at step {step} is {found[run, step]:.8g} in {other} and "
                f"{expected[run, step]:.8g} in {first}: expected equal within {TOLERANCE:g}; correct one of them"
            )


def measure(group: Group, name: str, rounds: int) -> Measured:
    """Seconds of a step of a run, of each variant in each round."""
    # A training of many runs has fewer steps, so that a round of the slowest takes seconds.
    steps = case(name).steps if group.runs == 1 else COMPARED
    with contestants(group, name) as ready:
        compare(name, ready)
        times: dict[str, list[float]] = {c.name: [] for c in ready}
        for c in ready:
            c.seconds(steps)  # the first fills caches, and compiles
        for _ in range(rounds):
            for c in ready:
                times[c.name].append(c.seconds(steps))
        versions = dict.fromkeys(c.about["version"] for c in ready)
    return Measured(name, case(name).describe(), times, list(versions))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(NAMES), help=",".join(NAMES))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path, help="README to write into; its plot goes beside it")
    given = parser.parse_args()
    unknown = [name for name in given.only if name not in NAMES]
    if unknown or given.rounds < 1:
        parser.error(
            f"--only {','.join(given.only)} --rounds {given.rounds}: expected some of {','.join(NAMES)}, and 1 or more"
        )
    done = []
    for group in GROUPS:
        if max(v.processes * v.cores for v in group.variants) > len(CORES):
            print(f"{group.title}: left out: this machine has {len(CORES)} core")
            continue
        measured = [measure(group, name, given.rounds) for name in group.cases if name in given.only]
        measured = [m for m in measured if m.times]
        if measured:
            print_group(group, measured, BASELINE)
            done.append((group, measured))
    output = given.output or (HERE / "README.md" if set(given.only) == set(NAMES) else None)
    if output:
        write(output, done, BASELINE, given.rounds)
        print(f"\nwritten: {output} and {output.with_name('steps.png')}")


if __name__ == "__main__":
    main()
