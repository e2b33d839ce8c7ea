"""The default run compared with the same job as a plain PyTorch script: whole processes, including the plot.

    python experiments/speed/whole_process.py [--steps 1000,10000] [--runs 5] [--torch-python PYTHON]

Prints, for each number of steps, the seconds of both as median (minimum to maximum), the median ratio over pairs, and
the median of the peak memory. PYTHON is an interpreter with PyTorch and matplotlib, by default the current one.
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
# The unit of ru_maxrss: kibibytes, or bytes on macOS.
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def run_and_measure(command: list[str], directory: str) -> tuple[float, float]:
    """Run a process; its duration in seconds and its peak memory in MiB."""
    with (Path(directory) / "messages").open("w+") as messages:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=directory, env=ENVIRONMENT, stdout=messages, stderr=messages)
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
    arguments = parser.parse_args()
    print("| steps | minitrain | PyTorch | PyTorch / minitrain | peak memory | PyTorch's |\n" + "|---" * 6 + "|")
    for steps in arguments.steps:
        with tempfile.TemporaryDirectory() as directory:
            ours = [sys.executable, "-m", "minitrain", f"steps={steps}"]
            theirs = [arguments.torch_python, str(PLAIN.resolve()), "torch", "--steps", str(steps)]
            commands = (ours, theirs)
            for command in commands:
                run_and_measure(command, directory)  # warm-up: file caches
            pairs = [[run_and_measure(command, directory) for command in commands] for _ in range(arguments.runs)]
        (our_times, our_memory), (their_times, their_memory) = (
            zip(*measurements, strict=True) for measurements in zip(*pairs, strict=True)
        )
        ratio = statistics.median(b / a for a, b in zip(our_times, their_times, strict=True))
        times = (f"{statistics.median(t):.2f} s ({min(t):.2f} to {max(t):.2f})" for t in (our_times, their_times))
        memory = (f"{statistics.median(m):.0f} MiB" for m in (our_memory, their_memory))
        print(f"| {steps:,} | {' | '.join(times)} | {ratio:.2f} | {' | '.join(memory)} |", flush=True)


if __name__ == "__main__":
    main()
