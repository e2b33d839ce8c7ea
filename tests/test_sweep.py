"""A sweep's runs are what they would be alone, whatever happens to others; a sweep that was stopped goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from minitrain.components.networks import MLPConfig
from minitrain.config.schema import RunConfig
from minitrain.data import Moons
from minitrain.optim import AdamRule, MomentumRule
from minitrain.optim.schedules import Constant, Cosine
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.storage.summary import read_summary
from minitrain.sweep import workers as training
from minitrain.sweep.grouping import group_runs, structure

SMALL = ["data=moons", "data.samples=100", "network.widths=[8]", "batch_size=20", "steps=60", "eval_every=20"]
SMALL += ["log_every=5", "checkpoint_every=25"]


def contents(run):
    """What has to be equal: the metrics, the config, and every array of the checkpoints."""
    found = {name: (run / name).read_bytes() for name in ("metrics.csv", ".hydra/config.yaml")}
    for name in ("last", "best"):
        arrays, meta = load_checkpoint(run / "checkpoints" / f"{name}.npz")
        found |= {f"{name}/{key}": array.tobytes() for key, array in arrays.items()}
        found[f"{name}/step"] = meta.step
    return found


def all_contents(directory):
    return {run.name: contents(run) for run in directory.iterdir() if run.is_dir()}


def statuses(directory):
    runs = sorted((run for run in directory.iterdir() if run.is_dir()), key=lambda run: int(run.name))
    return [read_summary(run).status for run in runs]


# Structures


CONFIG = RunConfig(Moons(), MLPConfig([8], dropout=0.1), MomentumRule(0.9), Constant(), lr=0.1, l2=0.01)


@pytest.mark.parametrize(
    "changes",
    [
        {"lr": 0.2}, {"seed": 7}, {"l2": 0.0}, {"optimizer": MomentumRule(0.5)},
        {"network": MLPConfig([8], dropout=0.3, init_scale=2.0)},
    ],
)  # fmt: skip
def test_numbers_make_no_other_structure(changes):
    assert structure(replace(CONFIG, **changes)) == structure(CONFIG)


@pytest.mark.parametrize(
    "changes",
    [
        {"l2": None}, {"activation": "silu"}, {"optimizer": AdamRule()}, {"network": MLPConfig([9], dropout=0.1)},
        {"network": MLPConfig([8])}, {"schedule": Cosine()}, {"steps": 7}, {"batch_size": None}, {"dtype": "float64"},
        {"data": Moons(noise=0.2)},
    ],
)  # fmt: skip
def test_what_makes_another_structure(changes):
    assert structure(replace(CONFIG, **changes)) != structure(CONFIG)


def test_stacks_hold_each_run_once_and_keep_all_cores_busy():
    configs = {number: replace(CONFIG, seed=number, batch_size=20) for number in range(7)}
    found = group_runs(configs, cores=3)
    assert sorted(number for stack in found for number in stack.runs) == list(range(7))
    assert len(found) == 3


# Runs in sweeps and alone

SWEPT = ["lr=0.03,0.3", "activation=relu,silu", "seed=0,1", "network.dropout=0.1,0.2", "optimizer=adam", "l2=1e-3"]


@pytest.mark.parametrize("worth", [0.0, 1e9])
def test_a_sweep_is_the_runs_one_after_another(command, monkeypatch, worth):
    monkeypatch.setattr(training, "WORTH_A_PROCESS", worth)  # in worker processes, and in this one
    for directory, launcher in (("stacked", []), ("basic", ["hydra/launcher=basic"])):
        status, out, err = command("-m", *SWEPT, *SMALL, f"hydra.sweep.dir={directory}", *launcher)
        assert status == 0, out + err
    stacked, basic = (all_contents(Path(name)) for name in ("stacked", "basic"))
    assert len(stacked) == 16
    assert stacked == basic
    lines = [(Path(name) / "3" / ".hydra" / "hydra.yaml").read_text().splitlines() for name in ("stacked", "basic")]
    own = [line for line in lines[0] if line not in lines[1]]
    assert all("stacked" in line or "StackedLauncher" in line or line.endswith("launcher: grouped") for line in own)


def test_runs_that_end_early_leave_the_others_as_they_are(command):
    swept = ["lr=0.1,1e9,0.3", "seed=0,1", "patience=2", "eval_every=5", *SMALL]
    swept.remove("eval_every=20")
    for directory, launcher in (("stacked", []), ("basic", ["hydra/launcher=basic"])):
        assert command("-m", *swept, f"hydra.sweep.dir={directory}", *launcher)[0] == 0
    assert statuses(Path("stacked")) == statuses(Path("basic"))
    assert "diverged" in statuses(Path("stacked"))
    for run in range(6):
        paths = [Path(name, str(run), "metrics.csv") for name in ("stacked", "basic")]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_on_divergence_decides_the_exit_status(command):
    assert command("-m", "lr=0.1,1e30", *SMALL)[0] == 0
    assert command("-m", "lr=0.1,1e30", "on_divergence=fail", *SMALL)[0] == 1


def test_a_run_that_exits_fails_alone(command, monkeypatch):
    from minitrain.training.compiled_engine import CompiledEngine

    update = CompiledEngine.update

    def leave(self, k):
        if k == 30 and any(step.config.seed == 1 for step in self.steps):
            sys.exit(3)
        update(self, k)

    monkeypatch.setattr(CompiledEngine, "update", leave)
    status, _, _ = command("-m", "seed=range(4)", *SMALL, "hydra.sweep.dir=swept")
    assert status == 1
    assert statuses(Path("swept")) == ["completed", "failed", "completed", "completed"]
    monkeypatch.setattr(CompiledEngine, "update", update)
    assert command("resume", "swept")[0] == 0
    assert command("-m", "seed=range(4)", *SMALL, "hydra.sweep.dir=whole")[0] == 0
    assert all_contents(Path("swept")) == all_contents(Path("whole"))


# Signals

LONG = [
    "data=moons",
    "network.widths=[16]",
    "steps=3000",
    "checkpoint_every=500",
    "seed=range(6)",
    "activation=relu,silu",
]
LONG += ["activation=relu,silu", "hydra.sweep.dir=swept"]


def begin(folder, arguments=None):
    """A sweep in worker processes, in a process group of its own, as a terminal starts it."""
    code = "import sys; from minitrain import __main__; from minitrain.sweep import workers as training\n"
    code += "training.WORTH_A_PROCESS = 0; sys.exit(__main__.main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, "-m", *(arguments or LONG)], cwd=folder, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


def wait_for(condition, process):
    for _ in range(600):
        if condition():
            return
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    raise AssertionError("waited 30 s in vain")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The sweep, never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    process = begin(folder)
    out = process.communicate(timeout=120)[0]
    assert process.returncode == 0, out
    return all_contents(folder / "swept")


def has_checkpoint(folder):
    return lambda: list(folder.glob("swept/*/checkpoints/last.npz"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_sweep_that_is_stopped_goes_on(tmp_path, whole, monkeypatch, command, number):
    process = begin(tmp_path)
    wait_for(has_checkpoint(tmp_path), process)
    if number == signal.SIGINT:  # a terminal sends it to all processes of the group
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 130, out
    assert set(statuses(tmp_path / "swept")) <= {"completed", "interrupted"}
    monkeypatch.chdir(tmp_path)
    assert command("resume", "swept")[0] == 0
    assert all_contents(tmp_path / "swept") == whole


def test_a_sweep_that_was_killed_goes_on(tmp_path, whole, monkeypatch, command):
    process = begin(tmp_path)
    wait_for(has_checkpoint(tmp_path), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    monkeypatch.chdir(tmp_path)
    status, out, err = command("resume", "swept")
    assert status == 0, out + err
    assert all_contents(tmp_path / "swept") == whole


def test_metrics_can_be_read_while_runs_go_on(tmp_path):
    process = begin(tmp_path)
    seen = set()

    def has_grown_twice():
        rows = [len(path.read_bytes().splitlines()) for path in tmp_path.glob("swept/*/metrics.csv")]
        seen.add(max(rows, default=0))
        return len(seen - {0, 1}) > 2

    wait_for(has_grown_twice, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)


def test_what_a_killed_worker_had_in_hand_is_begun_again(tmp_path, whole):
    process = begin(tmp_path)
    wait_for(has_checkpoint(tmp_path), process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        process.kill()
        pytest.skip("this system does not tell a process's children")
    workers = [int(pid) for pid in children.read_text().split()]
    trains = [pid for pid in workers if "loky" in Path(f"/proc/{pid}/cmdline").read_bytes().decode()]
    os.kill(trains[-1], signal.SIGKILL)
    out = process.communicate(timeout=120)[0]
    assert process.returncode == 0, out
    assert all_contents(tmp_path / "swept") == whole


def test_sweep_csv_has_every_run(command):
    assert command("-m", "lr=0.1,0.3", "seed=0,1", *SMALL, "hydra.sweep.dir=swept")[0] == 0
    lines = (Path("swept") / "sweep.csv").read_text().splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("run,lr,seed,data")
    assert [line.split(",")[0] for line in lines[1:]] == ["0", "1", "2", "3"]
    summary = json.loads((Path("swept") / "2" / "summary.json").read_text())
    assert str(summary["best"]["value"]) in lines[3]


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


def test_what_kills_its_worker_twice_has_failed_and_nothing_else(tmp_path, monkeypatch, command, own_components):
    monkeypatch.setattr(training, "WORTH_A_PROCESS", 0)
    (tmp_path / "mine.py").write_text(DEADLY.format(here=os.getpid()))
    # Two stacks at once: the worker that lives must not be taken for the one that dies.
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
    kind: float = option(0.0, "what happens at step 30: a number, so that all runs are one stack")

    def factor(self, step, steps):
        if step == 30 and not Path("mended").exists():
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
def test_a_sweep_in_which_everything_goes_wrong(tmp_path, monkeypatch, command, own_components):
    """Of 20 runs one raises, one goes nan, one exits, one has its worker killed, one hangs until Ctrl-C.

    Those that are computed together with the one that hangs wait for it.
    """
    (tmp_path / "mine.py").write_text(ODD)
    runs = ["zip=[schedule.kind,seed]", f"schedule.kind={','.join(['0', '1', '2', '3', '4', *'0' * 14, '5'])}"]
    odd = ["extensions=[mine]", "schedule=odd", *runs, "seed=range(20)", *SMALL]
    process = begin(tmp_path, [*odd, "hydra.sweep.dir=swept"])

    def has_ended(number):
        path = tmp_path / "swept" / str(number) / "summary.json"
        return path.exists() and '"running"' not in path.read_text()

    wait_for(lambda: all(map(has_ended, range(10))), process)
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(1)
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 130, out
    ended = ["completed", "failed", "diverged", "failed", *["completed"] * 6]
    assert statuses(tmp_path / "swept") == [*ended, *["running"] * 10]
    monkeypatch.chdir(tmp_path)
    Path("mended").touch()
    status, out, err = command("resume", "swept", "extensions=[mine]")
    assert status == 0, out + err
    assert "8 of 20 runs are complete" in out
    assert statuses(Path("swept")) == ["completed", "completed", "diverged", *["completed"] * 17]
    assert command("-m", *odd, "hydra.sweep.dir=alone", "hydra/launcher=basic")[0] == 0
    found, alone = all_contents(Path("swept")), all_contents(Path("alone"))
    for run in set(found) - {"2"}:
        assert found[run] == alone[run], run
