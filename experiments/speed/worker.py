"""Trains a case with one library in a separate process; commands come from standard input, answers are JSON lines.

python experiments/speed/worker.py MODULE CLASS CASE RUNS FIRST LAST CORES

trains the runs FIRST, ..., LAST - 1 of RUNS on some cores of the machine (0,1). Commands and answers:

    losses N     [[loss, ...], ...] of the first N steps of each run, or null if they cannot be compared
    measure N    seconds that training all runs for N steps takes: the mean over repetitions for at least 0.25 seconds
"""

import importlib
import json
import os
import sys
import time

MIN_SECONDS = 0.25  # of a measurement: far above the resolution of the clock and the scheduler


def main() -> None:
    module, cls, name, runs, first, last, cores = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):  # before the libraries count the cores
        os.sched_setaffinity(0, map(int, cores.split(",")))
    from cases import case

    part = case(name, int(runs)).part(int(first), int(last))
    try:
        library = importlib.import_module(f"libraries.{module}")
        trainer = getattr(library, cls)(part)
    except (ModuleNotFoundError, NotImplementedError) as reason:
        return answer({"skipped": str(reason)})
    answer({"version": library.VERSION})
    for line in sys.stdin:
        command, steps = line.split()
        if command == "losses":
            losses = trainer.losses(int(steps))
            answer(None if losses is None else losses.tolist())
        else:
            answer(measure(trainer, int(steps)))


def measure(trainer, steps: int) -> float:
    """Mean seconds of training all runs for some steps from their initial weights."""
    repetitions, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < MIN_SECONDS:
        trainer.steps(steps)
        repetitions += 1
    return elapsed / repetitions


def answer(value: object) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
