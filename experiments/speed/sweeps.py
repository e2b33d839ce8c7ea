"""Whole sweeps against loops of plain PyTorch: from the command to the last file, whole processes in turn.

    python experiments/speed/sweeps.py [--rounds 3] [--only digits]

digits: 100 runs of the default config. moons: 256 runs of an MLP 2-16-16-2 on all examples at once. 1,000 steps each.
A process for each run, and Hydra's own launcher, are timed over 1 run and 10 and multiplied, as their columns say.
"""

import argparse
import statistics
import sys
import tempfile
from dataclasses import dataclass

from whole_process import PLAIN, cost


@dataclass(frozen=True)
class Sweep:
    runs: int
    overrides: tuple[str, ...] = ()


BASIC = ("seed=range(10)", "hydra/launcher=basic")
SWEEPS = {
    "digits": Sweep(100),
    "moons": Sweep(256, ("data=moons", "network.widths=[16,16]", "activation=silu", "batch_size=null", "lr=0.3")),
}


def commands(name: str) -> dict[str, tuple[list[str], int]]:
    """Who -> a command, and how many times its seconds are those of the whole sweep."""
    sweep = SWEEPS[name]
    ours = [sys.executable, "-m", "minitrain", "-m", *sweep.overrides]
    plain = [sys.executable, str(PLAIN.resolve()), "torch", "--data", name]
    return {
        "minitrain": ([*ours, f"seed=range({sweep.runs})"], 1),
        "minitrain, one run after another (10 runs)": (
            [*ours, "seed=range(10)", "hydra/launcher=basic"],
            sweep.runs // 10,
        ),
        "PyTorch, one process": ([*plain, "--runs", str(sweep.runs)], 1),
        "PyTorch, a process for each run (1 run)": (plain, sweep.runs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=tuple(SWEEPS))
    given = parser.parse_args()
    for name in [given.only] if given.only else SWEEPS:
        times: dict[str, list[float]] = {who: [] for who in commands(name)}
        for _ in range(given.rounds):
            for who, (command, factor) in commands(name).items():
                with tempfile.TemporaryDirectory() as folder:
                    times[who].append(factor * cost(command, folder)[0])
        print(f"\n| {name}, {SWEEPS[name].runs} runs | seconds | minitrain is faster by |\n|---|---|---|")
        for who, seconds in times.items():
            ratio = statistics.median(b / a for a, b in zip(times["minitrain"], seconds, strict=True))
            spread = f"{statistics.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"
            print(f"| {who} | {spread} | {ratio:.1f}x |")


if __name__ == "__main__":
    main()
