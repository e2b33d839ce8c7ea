"""One library with one case, in a process of its own: told on standard input what to do, a line of JSON for each.

python experiments/speed/worker.py MODULE CLASS CASE RUNS FIRST LAST CORES

takes runs FIRST to LAST of RUNS on some of the machine's cores (0,1). The lines it takes, and what it answers:

    losses N     [[loss, ...], ...] of the first N steps of each run, or null
    measure N    seconds that N steps of all its runs take, from the start: the mean of as many such trainings as
                 fill a fourth of a second
"""

import importlib
import json
import os
import sys
import time

AT_LEAST = 0.25  # seconds of a measurement: far above the clock's and the scheduler's grain


def main() -> None:
    module, cls, name, runs, first, last, cores = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):  # before libraries count the cores
        os.sched_setaffinity(0, map(int, cores.split(",")))
    from cases import case

    part = case(name, int(runs)).part(int(first), int(last))
    try:
        library = importlib.import_module(f"libraries.{module}")
        trained = getattr(library, cls)(part)
    except (ModuleNotFoundError, NotImplementedError) as reason:
        return answer({"skipped": str(reason)})
    answer({"version": library.VERSION})
    for line in sys.stdin:
        command, steps = line.split()
        if command == "losses":
            losses = trained.losses(int(steps))
            answer(None if losses is None else losses.tolist())
        else:
            answer(measure(trained, int(steps)))


def measure(trained, steps: int) -> float:
    trainings, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < AT_LEAST:
        trained.steps(steps)
        trainings += 1
    return elapsed / trainings


def answer(value: object) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
