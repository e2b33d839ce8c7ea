"""A sweep's runs equal runs trained alone, whatever happens to the others; a stopped sweep can be resumed."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from sweep_runs import SMALL, all_contents, start_command, statuses, wait_for

from minitrain.storage.summary import read_summary
from minitrain.sweep import workers
from minitrain.sweep.workers import _Task

# Runs in groups and alone

SWEPT = ["lr=0.03,0.3", "activation=relu,silu", "seed=0,1", "network.dropout=0.1,0.2", "optimizer=adam", "l2=1e-3"]


@pytest.mark.slow
@pytest.mark.parametrize("worth", [0.0, 1e9])
def test_runs_of_a_sweep_equal_runs_trained_one_by_one(command, monkeypatch, worth):
    monkeypatch.setattr(workers, "SECONDS_WORTH_WORKERS", worth)  # in worker processes, and in this one
    for directory, launcher in (("grouped", []), ("basic", ["hydra/launcher=basic"])):
        status, out, err = command("-m", *SWEPT, *SMALL, f"hydra.sweep.dir={directory}", *launcher)
        assert status == 0, out + err
    grouped, basic = (all_contents(Path(name)) for name in ("grouped", "basic"))
    assert len(grouped) == 16
    assert grouped == basic
    lines = [(Path(name) / "3" / ".hydra" / "hydra.yaml").read_text().splitlines() for name in ("grouped", "basic")]
    differing = [line for line in lines[0] if line not in lines[1]]
    assert all("grouped" in line or "GroupedLauncher" in line for line in differing)


def test_runs_that_end_early_do_not_change_the_others(command):
    swept = ["lr=0.1,1e9,0.3", "seed=0,1", "patience=2", "eval_every=5", *SMALL]
    swept.remove("eval_every=20")
    for directory, launcher in (("grouped", []), ("basic", ["hydra/launcher=basic"])):
        assert command("-m", *swept, f"hydra.sweep.dir={directory}", *launcher)[0] == 0
    assert statuses(Path("grouped")) == statuses(Path("basic"))
    assert "diverged" in statuses(Path("grouped"))
    for run in range(6):
        paths = [Path(name, str(run), "metrics.csv") for name in ("grouped", "basic")]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_on_divergence_determines_the_exit_status(command):
    assert command("-m", "lr=0.1,1e30", *SMALL)[0] == 0
    assert command("-m", "lr=0.1,1e30", "on_divergence=fail", *SMALL)[0] == 1


def test_system_exit_fails_its_run_only(command, monkeypatch):
    from minitrain.training.compiled_engine import CompiledEngine

    update = CompiledEngine.update

    def exit_at_step_30(self, k):
        if k == 30 and any(step.config.seed == 1 for step in self.steps):
            sys.exit(3)
        update(self, k)

    monkeypatch.setattr(CompiledEngine, "update", exit_at_step_30)
    status, _, _ = command("-m", "seed=range(4)", *SMALL, "hydra.sweep.dir=swept")
    assert status == 1
    assert statuses(Path("swept")) == ["completed", "failed", "completed", "completed"]
    monkeypatch.setattr(CompiledEngine, "update", update)
    assert command("resume", "swept")[0] == 0
    assert command("-m", "seed=range(4)", *SMALL, "hydra.sweep.dir=whole")[0] == 0
    assert all_contents(Path("swept")) == all_contents(Path("whole"))


# Signals

LONG = [
    "data=moons", "network.widths=[16]", "steps=3000", "checkpoint_every=500", "seed=range(6)", "activation=relu,silu",
    "hydra.sweep.dir=swept",
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The sweep without an interruption."""
    folder = tmp_path_factory.mktemp("whole")
    process = start_command(folder, ["-m", *LONG])
    out = process.communicate(timeout=120)[0]
    assert process.returncode == 0, out
    return all_contents(folder / "swept")


def has_checkpoint(folder):
    return lambda: list(folder.glob("swept/*/checkpoints/last.npz"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_sweep_can_be_resumed(tmp_path, whole, monkeypatch, command, number):
    process = start_command(tmp_path, ["-m", *LONG])
    wait_for(has_checkpoint(tmp_path), process)
    if number != signal.SIGTERM:  # a terminal sends them to all processes of the group
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 130, out
    assert set(statuses(tmp_path / "swept")) <= {"completed", "interrupted"}
    monkeypatch.chdir(tmp_path)
    assert command("resume", "swept")[0] == 0
    assert all_contents(tmp_path / "swept") == whole


def test_a_killed_sweep_can_be_resumed(tmp_path, whole, monkeypatch, command):
    process = start_command(tmp_path, ["-m", *LONG])
    wait_for(has_checkpoint(tmp_path), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    monkeypatch.chdir(tmp_path)
    status, out, err = command("resume", "swept")
    assert status == 0, out + err
    assert all_contents(tmp_path / "swept") == whole


@pytest.mark.slow
def test_metrics_can_be_read_during_training(tmp_path):
    process = start_command(tmp_path, ["-m", *LONG])
    row_counts = set()

    def has_grown_twice():
        rows = [len(path.read_bytes().splitlines()) for path in tmp_path.glob("swept/*/metrics.csv")]
        row_counts.add(max(rows, default=0))
        return len(row_counts - {0, 1}) > 2

    wait_for(has_grown_twice, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)


@pytest.mark.slow
def test_jobs_of_a_killed_worker_are_retried(tmp_path, whole):
    process = start_command(tmp_path, ["-m", *LONG])
    wait_for(has_checkpoint(tmp_path), process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        process.kill()
        pytest.skip("this system does not list the children of a process")
    processes = [int(pid) for pid in children.read_text().split()]
    training = [pid for pid in processes if "loky" in Path(f"/proc/{pid}/cmdline").read_bytes().decode()]
    os.kill(training[-1], signal.SIGKILL)
    out = process.communicate(timeout=120)[0]
    assert process.returncode == 0, out
    assert all_contents(tmp_path / "swept") == whole


@pytest.mark.slow
def test_workers_stop_when_their_parent_was_killed(tmp_path, whole, monkeypatch, command):
    process = start_command(tmp_path, ["-m", *LONG])
    wait_for(has_checkpoint(tmp_path), process)
    process.kill()
    process.communicate(timeout=60)  # returns when no process has its standard output open
    begun = {read_summary(path.parent).status for path in tmp_path.glob("swept/*/summary.json")}
    assert "interrupted" in begun
    assert "running" not in begun
    monkeypatch.chdir(tmp_path)
    assert command("resume", "swept")[0] == 0
    assert all_contents(tmp_path / "swept") == whole


def test_jobs_of_a_killed_worker_are_retried_once_then_run_by_run_then_not_at_all():
    jobs = ["a", "b", "c"]
    [retry] = _Task(jobs).retries(jobs[1:])
    assert retry == _Task(["b", "c"], kills=1)
    alone = retry.retries(retry.jobs)
    assert alone == [_Task(["b"], kills=2), _Task(["c"], kills=2)]
    assert alone[0].retries(["b"]) == []
    assert retry.retries(["c"]) == []  # it was alone in the retry
    assert retry.retries([]) == []


DEADLY = """
import os, signal
from dataclasses import dataclass
from minitrain import Tensor, nn, option, register

HERE = {here}

@register("schedule", "deadly")
@dataclass(frozen=True)
class Deadly:
    at: int = option(30, "the step at which its process is killed", at_least=0)

    def factor(self, step, steps):
        if step == self.at and os.getpid() != HERE:
            os.kill(os.getpid(), signal.SIGKILL)
        return 1.0
"""


def test_a_run_that_kills_its_worker_twice_fails_alone(tmp_path, monkeypatch, command, own_components):
    monkeypatch.setattr(workers, "SECONDS_WORTH_WORKERS", 0)
    (tmp_path / "mine.py").write_text(DEADLY.format(here=os.getpid()))
    # Two groups at once: the other worker must not be mistaken for the one that was killed.
    common = ["extensions=[mine]", "schedule=deadly", *SMALL, "steps=40", "hydra.sweep.dir=swept"]
    status, out, err = command("-m", "schedule.at=30,100", "batch_size=20", *common)
    assert status == 1, out + err
    assert statuses(Path("swept")) == ["failed", "completed"]
    assert read_summary(Path("swept", "0")).error == "its worker process was killed twice"
    assert "schedule.at=30" in out


ODD = """
import os, signal, time
from dataclasses import dataclass
from pathlib import Path
from minitrain import option, register

@register("schedule", "odd")
@dataclass(frozen=True)
class Odd:
    kind: float = option(0.0, "what happens at step 30: a number, so that all runs are one group")

    def factor(self, step, steps):
        if step == 30 and not Path("repaired").exists():
            if self.kind == 1:
                raise ValueError("no rate")
            if self.kind == 2:
                return float("nan")
            if self.kind == 3:
                raise SystemExit(3)
            if self.kind == 4 and not Path("killed").exists():
                Path("killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            while self.kind == 5:
                time.sleep(0.1)
        return 1.0
"""


@pytest.mark.slow
def test_a_sweep_with_every_kind_of_failure(tmp_path, monkeypatch, command, own_components):
    """Of 20 runs, one raises, one becomes NaN, one exits, one kills its worker, and one hangs until Ctrl-C.

    The runs that are computed together with the one that hangs wait for it.
    """
    (tmp_path / "mine.py").write_text(ODD)
    runs = ["zip=[schedule.kind,seed]", f"schedule.kind={','.join(['0', '1', '2', '3', '4', *'0' * 14, '5'])}"]
    odd = ["extensions=[mine]", "schedule=odd", *runs, "seed=range(20)", *SMALL]
    process = start_command(tmp_path, ["-m", *odd, "hydra.sweep.dir=swept"])

    def has_ended(number):
        path = tmp_path / "swept" / str(number) / "summary.json"
        return path.exists() and '"running"' not in path.read_text()

    wait_for(lambda: all(map(has_ended, range(10))), process)
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(1)
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 130, out
    first_ten = ["completed", "failed", "diverged", "failed", *["completed"] * 6]
    assert statuses(tmp_path / "swept") == [*first_ten, *["running"] * 10]
    monkeypatch.chdir(tmp_path)
    Path("repaired").touch()
    status, out, err = command("resume", "swept", "extensions=[mine]")
    assert status == 0, out + err
    assert "8 of 20 runs are complete" in out
    assert statuses(Path("swept")) == ["completed", "completed", "diverged", *["completed"] * 17]
    assert command("-m", *odd, "hydra.sweep.dir=alone", "hydra/launcher=basic")[0] == 0
    swept, alone = all_contents(Path("swept")), all_contents(Path("alone"))
    for run in set(swept) - {"2"}:
        assert swept[run] == alone[run], run
