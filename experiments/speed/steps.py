"""The time of a training step of small networks in minitrain, PyTorch, JAX and scikit-learn.

    python experiments/speed/steps.py [--only A,B] [--rounds 9] [--output README.md]

Requires the extra `speed`; libraries that are not installed are skipped. Each library trains each case in its own
process, by default with one thread on one core, in float32, from the same weights on the same data. Their first losses
are compared before anything is timed. Then each round measures every library once, in turn. The tables are printed. If
all cases are measured, they are written with a plot, steps.png, to README.md beside this file; some cases are written
only if `--output` names a file.
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
from report import Group, Measurement, print_group, write

from minitrain.errors import plural

HERE = Path(__file__).parent
COMPARED_STEPS = 20  # whose losses are compared before anything is timed
# float32 rounds to 6e-8; libraries sum in different orders, and 20 updates amplify the difference.
TOLERANCE = 1e-4
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))

BASELINE = "PyTorch eager"


@dataclass(frozen=True)
class Variant:
    """One way of using a library.

    Attributes:
        name: Its name in the tables.
        module, cls: A module of `libraries` and its class.
        processes: The number of processes that the runs are distributed over.
        cores: Per process.
    """

    name: str
    module: str
    cls: str
    processes: int = 1
    cores: int = 1


EAGER = Variant(BASELINE, "pytorch", "Eager")
ONE_RUN = [
    Variant("minitrain", "minitrain", "Compiled"),
    EAGER,
    Variant("JAX jit", "jax", "PerStep"),
    Variant("JAX scan", "jax", "Scan"),
    Variant("scikit-learn", "scikit_learn", "Fit"),
]
ONE_CORE = [
    Variant("minitrain stacked", "minitrain", "Compiled"),
    EAGER,
    Variant("PyTorch stacked", "pytorch", "Stacked"),
    Variant("JAX vmap(scan)", "jax", "Stacked"),
]
TWO_CORES = [
    Variant("minitrain stacked, 2 processes", "minitrain", "Compiled", processes=2),
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
    """A process (worker.py) that trains some runs of a case; it is controlled by lines of text and answers in JSON."""

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

    def send(self, line: str) -> None:
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def receive(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"steps.py: {' '.join(self.process.args[1:])} ended without an answer; see its message above")
        return json.loads(line)

    def close(self) -> None:
        self.process.communicate()  # the worker exits at the end of its input


class Participant:
    """A variant on one case, with its workers."""

    def __init__(self, variant: Variant, name: str, runs: int) -> None:
        self.name = variant.name
        ends = [runs * i // variant.processes for i in range(variant.processes + 1)]
        # From the last core: the first usually serves interrupts.
        cores = CORES[::-1][: variant.processes * variant.cores]
        self.workers = [
            Worker(variant, name, runs, first, last, cores[i * variant.cores : (i + 1) * variant.cores])
            for i, (first, last) in enumerate(pairwise(ends))
        ]
        self.runs = np.diff(ends)
        self.about, *_ = [worker.receive() for worker in self.workers]

    def request(self, line: str) -> list:
        for worker in self.workers:
            worker.send(line)
        return [worker.receive() for worker in self.workers]

    def losses(self, steps: int) -> np.ndarray | None:
        parts = self.request(f"losses {steps}")
        return None if parts[0] is None else np.concatenate(parts)

    def seconds(self, steps: int) -> float:
        """Seconds per step and run; the rates of parallel processes are added."""
        rates = self.runs * steps / np.array(self.request(f"measure {steps}"))
        return 1 / float(rates.sum())

    def close(self) -> None:
        for worker in self.workers:
            worker.close()


@contextmanager
def participants(group: Group, name: str) -> Iterator[list[Participant]]:
    """The participants that support the case, with their workers started."""
    with ExitStack() as stack:
        ready = []
        for variant in group.variants:
            participant = Participant(variant, name, group.runs)
            stack.callback(participant.close)
            if "skipped" in participant.about:
                print(f"{name}: {variant.name} is skipped: {participant.about['skipped']}", flush=True)
            else:
                ready.append(participant)
        yield ready


def compare(name: str, ready: list[Participant]) -> None:
    """Exit if the losses of a library differ from those of the first."""
    losses = [(p.name, values) for p in ready if (values := p.losses(COMPARED_STEPS)) is not None]
    for other, values in losses[1:]:
        first, expected = losses[0]
        agrees = np.abs(values / expected - 1) < TOLERANCE
        if not agrees.all():
            run, step = np.argwhere(~agrees)[0]
            sys.exit(
                f"steps.py: case {name}: the loss of run {run} at step {step} is {values[run, step]:.8g} in {other} "
                f"and {expected[run, step]:.8g} in {first}; expected to agree within {TOLERANCE:g}: correct one of them"
            )


def measure(group: Group, name: str, rounds: int) -> Measurement:
    """Measure each variant once per round."""
    # Many runs are trained for fewer steps, so that a round of the slowest variant takes seconds.
    steps = case(name).steps if group.runs == 1 else COMPARED_STEPS
    with participants(group, name) as ready:
        compare(name, ready)
        times: dict[str, list[float]] = {p.name: [] for p in ready}
        for p in ready:
            p.seconds(steps)  # warm-up: compilation and caches
        for _ in range(rounds):
            for p in ready:
                times[p.name].append(p.seconds(steps))
        versions = dict.fromkeys(p.about["version"] for p in ready)
    return Measurement(name, case(name).describe(), times, list(versions))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(NAMES), help=",".join(NAMES))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--output", type=Path, help="file that the tables are written to; the plot is written beside it"
    )
    arguments = parser.parse_args()
    unknown = [name for name in arguments.only if name not in NAMES]
    if unknown or arguments.rounds < 1:
        parser.error(
            f"--only {','.join(arguments.only)} --rounds {arguments.rounds}: "
            f"expected names from {','.join(NAMES)}, and at least 1 round"
        )
    results = []
    for group in GROUPS:
        if max(v.processes * v.cores for v in group.variants) > len(CORES):
            print(f"{group.title}: skipped: this machine has {plural(len(CORES), 'core')}")
            continue
        measurements = [measure(group, name, arguments.rounds) for name in group.cases if name in arguments.only]
        measurements = [m for m in measurements if m.times]
        if measurements:
            print_group(group, measurements, BASELINE)
            results.append((group, measurements))
    output = arguments.output or (HERE / "README.md" if set(arguments.only) == set(NAMES) else None)
    if output:
        write(output, results, BASELINE, arguments.rounds)
        print(f"\nwritten: {output} and {output.with_name('steps.png')}")


if __name__ == "__main__":
    main()
