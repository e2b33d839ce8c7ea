"""The default run against the same job as a plain PyTorch script: whole processes in turn, plot included.

    python experiments/speed/whole_process.py [--steps 1000,10000] [--runs 5] [--torch-python PYTHON]

Prints, for each number of steps, the seconds of each: median (least to most), the median of the ratios pair by pair,
and the median of the most memory that each took. PYTHON is the interpreter that has PyTorch and matplotlib, where it
is not this one.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
PLAIN = HERE / "plain_pytorch.py"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HERE.parents[1].resolve()), "OMP_NUM_THREADS": "1"}
# What getrusage counts memory in: kibibytes, on macOS bytes.
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def cost(command: list[str], folder: str) -> tuple[float, float]:
    """Seconds that a process took, and its peak memory in MiB."""
    with (Path(folder) / "messages").open("w+") as messages:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=messages, stderr=messages)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            messages.seek(0)
            sys.exit(f"whole_process.py: {' '.join(command)} failed:\n{messages.read()}")
    return seconds, usage.ru_maxrss * MAXRSS_UNIT / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=lambda text: [int(n) for n in text.split(",")], default=[1000, 10000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--torch-python", default=sys.executable)
    given = parser.parse_args()
    print("| steps | minitrain | PyTorch | PyTorch / minitrain | peak memory | PyTorch's |\n" + "|---" * 6 + "|")
    for steps in given.steps:
        with tempfile.TemporaryDirectory() as folder:
            ours = [sys.executable, "-m", "minitrain", f"steps={steps}"]
            theirs = [given.torch_python, str(PLAIN.resolve()), "torch", "--steps", str(steps)]
            cost(ours, folder), cost(theirs, folder)  # the first start fills caches
            pairs = [(cost(ours, folder), cost(theirs, folder)) for _ in range(given.runs)]
        (our_times, our_memory), (their_times, their_memory) = (
            zip(*of_one, strict=True) for of_one in zip(*pairs, strict=True)
        )
        ratio = statistics.median(b / a for a, b in zip(our_times, their_times, strict=True))
        times = (f"{statistics.median(t):.2f} s ({min(t):.2f} to {max(t):.2f})" for t in (our_times, their_times))
        memory = (f"{statistics.median(m):.0f} MiB" for m in (our_memory, their_memory))
        print(f"| {steps:,} | {' | '.join(times)} | {ratio:.2f} | {' | '.join(memory)} |", flush=True)


if __name__ == "__main__":
    main()
