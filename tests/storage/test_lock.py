"""One process at a time writes to the directory of a run or a sweep."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minitrain.errors import DirectoryInUseError, RecordError
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.lock import LOCK_FILE, locked

HOLD = """
import sys, time
from pathlib import Path
from minitrain.storage.lock import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(600)
"""
RUN = ["data=moons", "network.widths=[16]", "steps=20000", "checkpoint_every=1000", "hydra.run.dir=run"]
SWEEP = ["-m", "data=moons", "network.widths=[16]", "steps=3000", "checkpoint_every=500", "seed=0,1"]
SWEEP += ["hydra.sweep.dir=swept"]


@pytest.fixture
def start(tmp_path):
    """Start a Python process in the folder of the test; it is killed at the end of the test."""
    processes = []

    def start_process(*arguments):
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, start_new_session=True,
        )  # fmt: skip
        processes.append(process)
        return process

    yield start_process
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def hold(start):
    """Start a process that holds the lock on a directory."""

    def start_holder(directory):
        process = start("-c", HOLD, str(directory))
        assert process.stdout.readline() == "locked\n"
        return process

    return start_holder


def wait_for_checkpoint(pattern, process):
    deadline = time.monotonic() + 60
    while not list(Path().glob(pattern)):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_lock_is_refused_until_its_holder_dies(tmp_path, hold):
    process = hold(tmp_path)
    message = f"{tmp_path}: in use by process {process.pid}; wait for it or stop it"
    for _ in range(2):  # the refused attempt leaves the process id in the file
        with pytest.raises(DirectoryInUseError) as caught, locked(tmp_path):
            pass
        assert str(caught.value) == message
    process.kill()
    process.wait()
    assert (tmp_path / LOCK_FILE).exists()
    with locked(tmp_path):
        assert int((tmp_path / LOCK_FILE).read_text()) == os.getpid()
    assert not list(tmp_path.iterdir())


def test_a_process_may_enter_its_lock_again(tmp_path):
    with locked(tmp_path):
        with locked(tmp_path / "." / ""):
            pass
        assert (tmp_path / LOCK_FILE).exists()
    assert not (tmp_path / LOCK_FILE).exists()


def test_the_lock_is_released_after_an_error(tmp_path, hold):
    with pytest.raises(LookupError), locked(tmp_path):
        raise LookupError
    hold(tmp_path)


def test_many_processes_hold_the_lock_one_after_the_other(tmp_path, start):
    code = """
import sys, time
from pathlib import Path
from minitrain.errors import DirectoryInUseError
from minitrain.storage.lock import locked
held = 0
while held < 30:
    try:
        with locked(Path("directory")):
            Path("holder").touch(exist_ok=False)
            Path("holder").unlink()
            held += 1
    except DirectoryInUseError:
        pass
"""
    (tmp_path / "directory").mkdir()
    processes = [start("-c", code) for _ in range(4)]
    assert [process.wait(timeout=60) for process in processes] == [0] * 4, processes[0].stdout.read()


@pytest.mark.parametrize("content", [b"", b"\0\xff", b" not a number\n", b" " + b"9" * 5000])
def test_malformed_content_of_a_lock_file_does_no_harm(tmp_path, content, hold):
    (tmp_path / LOCK_FILE).write_bytes(content)
    with locked(tmp_path):
        pass
    hold(tmp_path)
    (tmp_path / LOCK_FILE).write_bytes(content[:20])
    with pytest.raises(DirectoryInUseError, match=r"in use by (another process|process 9+);"), locked(tmp_path):
        pass


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "directory"])
def test_a_lock_file_that_is_not_a_regular_file_is_refused(tmp_path, kind):
    directory, target = tmp_path / "run", tmp_path / "target"
    directory.mkdir()
    path = directory / LOCK_FILE
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(target)
        if kind == "link":
            target.write_text("content")
    with pytest.raises(RecordError, match="not a regular file"), locked(directory):
        pass
    assert target.exists() == (kind == "link")
    assert kind != "link" or target.read_text() == "content"


@pytest.mark.slow
def test_a_running_run_cannot_be_resumed_until_it_was_killed(command, start):
    assert command(*RUN[:-1], "hydra.run.dir=whole")[0] == 0
    process = start("-m", "minitrain", *RUN)
    wait_for_checkpoint("run/checkpoints/last.npz", process)
    process.send_signal(signal.SIGSTOP)
    files = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    for arguments in (["resume", "run"], ["resume", "run", "steps=30000"]):
        status, out, err = command(*arguments)
        assert (status, err) == (2, f"minitrain: run: in use by process {process.pid}; wait for it or stop it\n"), out
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == files
    assert command("compare", "run", "whole")[0] == 0
    Path("points.csv").write_text("x,y\n0.1,0.2\n")
    assert command("predict", "run", "points.csv", "--output", "predictions.csv")[0] == 0
    process.kill()
    process.wait()
    assert command("resume", "run")[0] == 0
    assert Path("run/metrics.csv").read_bytes() == Path("whole/metrics.csv").read_bytes()
    assert_equal_checkpoints("run", "whole")
    assert not Path("run", LOCK_FILE).exists()


def assert_equal_checkpoints(run, other):
    arrays, others = (load_checkpoint(Path(name, "checkpoints", "last.npz"))[0] for name in (run, other))
    assert {name: array.tobytes() for name, array in arrays.items()} == {n: a.tobytes() for n, a in others.items()}


def test_a_running_sweep_and_its_runs_cannot_be_resumed(command, start):
    process = start("-m", "minitrain", *SWEEP)
    wait_for_checkpoint("swept/*/checkpoints/last.npz", process)
    os.killpg(process.pid, signal.SIGSTOP)
    status, _, err = command("resume", "swept")
    assert (status, err) == (2, f"minitrain: swept: in use by process {process.pid}; wait for it or stop it\n")
    assert command(*SWEEP)[0] == 2
    [run, *_] = [path.parent.parent for path in Path().glob("swept/*/checkpoints/last.npz")]
    status, _, err = command("resume", str(run))
    assert status == 2
    assert f"{run}: in use by process" in err
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert command("resume", "swept")[0] == 0


def test_a_sweep_cannot_be_resumed_while_one_of_its_runs_is(command, hold):
    assert command(*SWEEP)[0] == 0
    summary = Path("swept/1/summary.json")
    summary.write_text(summary.read_text().replace('"completed"', '"interrupted"'))
    process = hold("swept/1")
    status, _, err = command("resume", "swept")
    assert (status, err) == (2, f"minitrain: swept/1: in use by process {process.pid}; wait for it or stop it\n")
    assert '"interrupted"' in summary.read_text()
    process.kill()
    process.wait()
    assert command("resume", "swept")[0] == 0


def test_a_run_that_another_process_has_begun_is_left_to_it(command, hold):
    assert command(*SWEEP)[0] == 0
    for path in (path for path in Path("swept/1").iterdir() if path.name != ".hydra"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    hold("swept/1")
    assert command("resume", "swept")[0] == 1
    assert {path.name for path in Path("swept/1").iterdir()} == {".hydra", LOCK_FILE}


def test_a_sweep_killed_before_its_first_file_can_be_started_again(command):
    Path("swept").mkdir()
    Path("swept", LOCK_FILE).touch()
    assert command(*SWEEP)[0] == 0
