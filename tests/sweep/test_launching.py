"""Hydra's launchers and sweepers work with minitrain's runs: its own plugins, and others if they are installed."""

import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper

from minitrain.commands.sweep import RunTask
from minitrain.storage.summary import read_summary
from minitrain.sweep.launching import GROUPED_LAUNCHER

SMALL = ["data=moons", "data.samples=60", "network.widths=[4]", "batch_size=20", "steps=20", "hydra.sweep.dir=swept"]


def runs():
    directories = (run for run in Path("swept").iterdir() if (run / ".hydra").is_dir())
    return sorted(directories, key=lambda run: int(run.name))


@pytest.fixture(autouse=True)
def new_joblib_workers():
    """joblib keeps its workers, which stay in the folder that they were started in."""
    yield
    if "joblib" in sys.modules:
        sys.modules["joblib"].externals.loky.get_reusable_executor().shutdown()


@pytest.mark.parametrize(
    ("package", "launcher"),
    [("hydra_plugins.hydra_joblib_launcher", "joblib"), ("hydra_plugins.hydra_submitit_launcher", "submitit_local")],
)
@pytest.mark.filterwarnings("default")
def test_third_party_launchers(command, package, launcher):
    pytest.importorskip(package)
    assert command("-m", "lr=0.1,0.3", *SMALL)[0] == 0
    grouped = [(run / "metrics.csv").read_bytes() for run in runs()]
    Path("swept").rename("grouped")
    status, out, err = command("-m", "lr=0.1,0.3", *SMALL, f"hydra/launcher={launcher}")
    assert status == 0, out + err
    assert [(run / "metrics.csv").read_bytes() for run in runs()] == grouped


@pytest.mark.parametrize("direction", [[], ["hydra.sweeper.direction=minimize"]])
@pytest.mark.filterwarnings("default")
def test_optuna_maximizes_accuracy_in_batches(command, direction):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    search = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=3", "hydra.sweep.dir=swept"]
    status, out, err = command(
        "-m",
        "lr=tag(log,interval(1e-6,1))",
        "hydra.sweeper.sampler.seed=3",
        "data=moons",
        "steps=100",
        *search,
        *direction,
    )
    assert status == 0, out + err
    values = [read_summary(run).best.value for run in runs()]
    assert len(values) == 6
    assert min(values) < max(values)
    results = (Path("swept") / "optimization_results.yaml").read_text()
    best = float(results.partition("best_value: ")[2])
    assert best == (min(values) if direction else max(values))


CUBE = """
from minitrain import register

@register("activation", "cube_of_mine")
def cube_of_mine(x):
    return x**3
"""


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
@pytest.mark.filterwarnings("default")
def test_other_processes_import_the_extensions(command, own_components, launcher):
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher")
    Path("mine.py").write_text(CUBE)
    arguments = ["extensions=[mine]", "activation=cube_of_mine", *SMALL, f"hydra/launcher={launcher}"]
    status, out, err = command("-m", "lr=0.1,0.3", *arguments)
    assert status == 0, out + err


def test_the_task_of_a_run_can_be_pickled():
    task = RunTask(("mine",))
    assert pickle.loads(pickle.dumps(task)) == task


def test_errors_of_jobs_are_reported_by_other_launchers(command, monkeypatch):
    def fail(self, config):
        raise LookupError("no such thing")

    monkeypatch.setattr(RunTask, "__call__", fail)
    status, out, _ = command("-m", "lr=0.1,0.3", *SMALL, "hydra/launcher=basic")
    assert status == 1
    assert "#0 lr=0.1 data=moons" in out
    assert out.count("failed: LookupError: no such thing") == 2


def test_hydra_discovers_the_grouped_launcher_as_a_plugin(command):
    assert GROUPED_LAUNCHER in {f"{cls.__module__}.{cls.__name__}" for cls in Plugins.instance().discover(Launcher)}
    status, out, _ = command("--cfg", "hydra")
    assert status == 0
    assert f"_target_: {GROUPED_LAUNCHER}" in out


def test_discovering_the_plugin_does_not_import_the_training():
    code = "import sys; from hydra.core.plugins import Plugins; Plugins.instance(); print('minitrain' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout == "False\n"


class TwoBatches(Sweeper):
    """A sweeper that trains two batches of two runs."""

    def __init__(self, max_batch_size, params):
        pass

    def setup(self, *, hydra_context, task_function, config):
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments):
        for first in (0, 2):
            jobs = [[*arguments, f"seed={number}"] for number in (first, first + 1)]
            results = self.launcher.launch(jobs, initial_job_idx=first)
            assert [result.return_value for result in results] == [
                read_summary(run).best.value for run in runs()[first:]
            ]


def test_a_sweeper_can_train_its_runs_in_batches(command, monkeypatch):
    module = ModuleType("hydra_plugins.two_batches")
    module.TwoBatches = TwoBatches
    monkeypatch.setattr(TwoBatches, "__module__", module.__name__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    Plugins.instance().register(TwoBatches)
    status, out, err = command("-m", *SMALL, "hydra.sweeper._target_=hydra_plugins.two_batches.TwoBatches")
    assert status == 0, out + err
    assert len(runs()) == 4
    assert len((Path("swept") / "sweep.csv").read_text().splitlines()) == 5
    (runs()[3] / "summary.json").unlink()
    status, out, err = command("resume", "swept")
    assert status == 0, out + err
    assert "3 of 4 runs are complete" in out
