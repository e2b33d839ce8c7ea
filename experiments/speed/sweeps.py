"""Whole sweeps compared with loops in plain PyTorch: whole processes, from the command to the last file.

    python experiments/speed/sweeps.py [--rounds 3] [--only digits]

digits: 100 runs of the default config. moons: 256 runs of an MLP 2-16-16-2 with full batches. 1,000 steps each. One
process per run is timed for 1 run, Hydra's basic launcher for 10 runs; both times are multiplied, as their rows say.
"""

import argparse
import statistics
import sys
import tempfile
from dataclasses import dataclass

from whole_process import PLAIN, run_and_measure


@dataclass(frozen=True)
class Sweep:
    runs: int
    overrides: tuple[str, ...] = ()


SWEEPS = {
    "digits": Sweep(100),
    "moons": Sweep(256, ("data=moons", "network.widths=[16,16]", "activation=silu", "batch_size=null", "lr=0.3")),
}


def commands(name: str) -> dict[str, tuple[list[str], int]]:
    """Name -> a command, and the factor from its time to that of the whole sweep."""
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
        "PyTorch, one process per run (1 run)": (plain, sweep.runs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=tuple(SWEEPS))
    arguments = parser.parse_args()
    for name in [arguments.only] if arguments.only else SWEEPS:
        times: dict[str, list[float]] = {variant: [] for variant in commands(name)}
        for _ in range(arguments.rounds):
            for variant, (command, factor) in commands(name).items():
                with tempfile.TemporaryDirectory() as directory:
                    times[variant].append(factor * run_and_measure(command, directory)[0])
        print(f"\n| {name}, {SWEEPS[name].runs} runs | seconds | speed-up of minitrain |\n|---|---|---|")
        for variant, seconds in times.items():
            ratio = statistics.median(b / a for a, b in zip(times["minitrain"], seconds, strict=True))
            spread = f"{statistics.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"
            print(f"| {variant} | {spread} | {ratio:.1f}x |")


if __name__ == "__main__":
    main()
