"""Memory that is stated before, and held: of a long run, of a sweep of many runs, of data larger than that."""

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
RUN_OF_A_SWEEP = 64 * 2**10  # bytes of a run's config and results, in the process that looks after it


def children_of(pid):
    """A process, and all that it started."""
    found = [pid]
    for listed in Path("/proc", str(pid), "task").glob("*/children"):
        for child in listed.read_text().split():
            found += children_of(int(child))
    return found


def own_bytes(pid):
    """Memory of a process that is in no file: what it computes with."""
    told = Path("/proc", str(pid), "status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", told)[1]) * 1024


def peak_of(*arguments, every=0.02):
    """Run a command line; gives the memory that its processes took at most, and at half of the time, together."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "minitrain", *arguments]
    with (
        Path("out.txt").open("w") as out,
        subprocess.Popen(command, env=environment, stdout=out, stderr=out) as process,
    ):
        seen = []
        while process.poll() is None:
            try:
                seen.append(sum(map(own_bytes, children_of(process.pid))))
            except (OSError, TypeError):  # one of them has just ended
                continue
            time.sleep(every)
    assert process.returncode == 0, Path("out.txt").read_text()
    return np.array(seen)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not tell the memory of a process")
    monkeypatch.chdir(tmp_path)


def test_a_million_steps_take_the_memory_of_a_thousand():
    run = ["data=moons", "network.widths=[8]", "batch_size=16", "schedule=cosine"]
    run += ["log_every=10000", "eval_every=10000", "checkpoint_every=100000"]
    while_training = peak_of(*run, "steps=1000000")
    assert while_training.max() < PROCESS
    settled, later = np.array_split(while_training[len(while_training) // 5 :], 2)
    later = later[: len(later) * 9 // 10]  # before the curves are drawn
    assert np.median(later) - np.median(settled) < 2**20


def test_2000_runs_take_the_memory_of_their_processes_and_a_little_for_each():
    peak = peak_of("-m", "seed=range(2000)", "steps=20", "eval_every=10", every=0.2).max()
    processes = 1 + len(os.sched_getaffinity(0))
    assert peak < processes * PROCESS + 2000 * RUN_OF_A_SWEEP


@pytest.fixture
def two_gigabytes():
    """x.npy, larger than 2 GB, and y.npy; how many examples they have."""
    rows, block = 2**23, 2**16
    x = np.lib.format.open_memmap("x.npy", "w+", np.float32, (rows, 64))
    some = np.random.default_rng(0).normal(size=(block, 64)).astype(np.float32)
    for start in range(0, rows, block):
        x[start : start + block] = some
    np.save("y.npy", (x[:, 0] > 0).astype(np.int8))
    assert Path("x.npy").stat().st_size > 2 * 10**9
    yield rows
    Path("x.npy").unlink()


def test_2_gigabytes_of_data_are_never_in_memory(two_gigabytes):
    run = ["data=npy", "data.x=x.npy", "data.y=y.npy", "data.validation=0.01", "steps=200", "eval_every=200"]
    # What is in memory: a block that is read, in float64; of each example its number, in order and shuffled, and class.
    assert peak_of(*run).max() < PROCESS + 2**28 + 32 * two_gigabytes
