"""Peak memory of a long run, of a sweep of many runs, and of data larger than memory."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

PROCESS = 80 * 2**20  # bytes of one process: Python, NumPy, Hydra, and at the end matplotlib
RUN_OF_A_SWEEP = 64 * 2**10  # bytes of a run's config and results in the parent process


def process_tree(pid):
    """A process and all its descendants."""
    processes = [pid]
    for listed in Path("/proc", str(pid), "task").glob("*/children"):
        for child in listed.read_text().split():
            processes += process_tree(int(child))
    return processes


def anonymous_memory(pid):
    """Resident bytes of a process that are not mapped from files."""
    status = Path("/proc", str(pid), "status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) * 1024


def sample_memory(*arguments, every=0.02):
    """Run a command line; returns the memory of its processes together, sampled at an interval in seconds."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "minitrain", *arguments]
    with (
        Path("out.txt").open("w") as out,
        subprocess.Popen(command, env=environment, stdout=out, stderr=out) as process,
    ):
        samples = []
        while process.poll() is None:
            try:
                samples.append(sum(map(anonymous_memory, process_tree(process.pid))))
            except (OSError, TypeError):  # a process ended while it was sampled
                continue
            time.sleep(every)
    assert process.returncode == 0, Path("out.txt").read_text()
    return np.array(samples)


@pytest.fixture(autouse=True)
def temporary_directory(tmp_path, monkeypatch):
    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not report the memory of a process")
    monkeypatch.chdir(tmp_path)


def test_a_million_steps_take_no_more_memory_than_a_thousand():
    run = ["data=moons", "network.widths=[8]", "batch_size=16", "schedule=cosine"]
    run += ["log_every=10000", "eval_every=10000", "checkpoint_every=100000"]
    memory = sample_memory(*run, "steps=1000000")
    assert memory.max() < PROCESS
    settled, later = np.array_split(memory[len(memory) // 5 :], 2)
    later = later[: len(later) * 9 // 10]  # without the time in which the curves are drawn
    assert np.median(later) - np.median(settled) < 2**20


def test_memory_of_2000_runs():
    peak = sample_memory("-m", "seed=range(2000)", "steps=20", "eval_every=10", every=0.2).max()
    processes = 1 + len(os.sched_getaffinity(0))
    assert peak < processes * PROCESS + 2000 * RUN_OF_A_SWEEP


@pytest.fixture
def two_gigabytes():
    """Write x.npy, larger than 2 GB, and y.npy; yields their number of examples."""
    rows, block = 2**23, 2**16
    x = np.lib.format.open_memmap("x.npy", "w+", np.float32, (rows, 64))
    values = np.random.default_rng(0).normal(size=(block, 64)).astype(np.float32)
    for start in range(0, rows, block):
        x[start : start + block] = values
    np.save("y.npy", (x[:, 0] > 0).astype(np.int8))
    assert Path("x.npy").stat().st_size > 2 * 10**9
    yield rows
    Path("x.npy").unlink()


def test_two_gigabytes_of_data_are_not_loaded_into_memory(two_gigabytes):
    run = ["data=npy", "data.x=x.npy", "data.y=y.npy", "data.validation=0.01", "steps=200", "eval_every=200"]
    # In memory are a block of inputs in float64, and for each example its index, in order and shuffled, and its class.
    assert sample_memory(*run).max() < PROCESS + 2**28 + 32 * two_gigabytes
