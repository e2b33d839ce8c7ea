"""The default run against the same job as a plain PyTorch script: whole processes in turn, plot included.

    python experiments/speed/whole_process.py [--steps 1000] [--runs 5] [--torch-python PYTHON]

Prints the seconds of each, their medians, and the median of the ratios pair by pair. PYTHON is the
interpreter that has PyTorch and minitrain, where it is not this one.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=1000)
parser.add_argument("--runs", type=int, default=5)
parser.add_argument("--torch-python", default=sys.executable)
given = parser.parse_args()

peer = Path(__file__).with_name("plain_pytorch.py")
environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}


def seconds(command: list[str], folder: str) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return time.perf_counter() - started


with tempfile.TemporaryDirectory() as folder:
    ours = [sys.executable, "-m", "minitrain", f"steps={given.steps}"]
    theirs = [given.torch_python, str(peer), "torch", str(given.steps)]
    seconds(ours, folder), seconds(theirs, folder)  # the first start fills caches
    pairs = [(seconds(ours, folder), seconds(theirs, folder)) for _ in range(given.runs)]
for name, times in zip(("minitrain", "PyTorch"), zip(*pairs, strict=True), strict=True):
    print(f"{name:<10} median {statistics.median(times):.2f} s   " + " ".join(f"{t:.2f}" for t in times))
print(f"ratio      median {statistics.median(b / a for a, b in pairs):.2f}")
