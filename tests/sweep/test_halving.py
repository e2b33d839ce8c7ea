"""Successive halving: which runs continue, and that those have the files of a sweep that is not halved."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from sweep_runs import SMALL, all_contents, contents, start_command, statuses, wait_for

from minitrain.components.networks import MLPConfig
from minitrain.config.composition import Composer
from minitrain.config.schema import RunConfig
from minitrain.data import Moons
from minitrain.errors import ConfigError
from minitrain.optim import SGDRule
from minitrain.optim.schedules import Constant
from minitrain.storage.files import write_text
from minitrain.storage.summary import Status, Summary, read_summary, write_summary
from minitrain.sweep import execution, workers
from minitrain.sweep.halving import Halving
from minitrain.sweep.planning import plan_sweep
from minitrain.sweep.state import Job

CONFIG = RunConfig(Moons(), MLPConfig([8]), SGDRule(), Constant(), lr=0.1)
# Dropout, batches and Adam: everything that a run has to keep at a rung
SWEPT = ["lr=0.003,0.03,0.3", "seed=0,1,2", "network.dropout=0.2", "optimizer=adam", *SMALL, "schedule=plateau"]
SWEPT += ["schedule.patience=1", "patience=50"]
HALVED = ["halving=3", "rungs=[20,40]"]


def values_at(directory, rung):
    """The validation accuracy of each run at a step, read from a sweep that was not halved."""
    values = []
    for run in sorted(directory.glob("[0-9]*"), key=lambda run: int(run.name)):
        table = np.genfromtxt(run / "metrics.csv", delimiter=",", names=True)
        values.append(float(table["val_accuracy"][table["step"] == rung][0]))
    return values


def best(values, numbers, count):
    return sorted(sorted(numbers, key=lambda number: -values[number])[:count])


@pytest.fixture
def whole(command):
    """The contents of the runs of a sweep that is not halved, and the runs that halving it should keep to the end."""
    assert command("-m", *SWEPT, "hydra.sweep.dir=whole")[0] == 0
    kept = best(values_at(Path("whole"), 20), range(9), 3)
    return all_contents(Path("whole")), best(values_at(Path("whole"), 40), kept, 1), kept


def check_halved(directory, whole):
    """Runs to the end have the files of the whole sweep; pruned ones have its rows up to their rungs."""
    expected, winners, kept = whole
    assert statuses(directory) == ["completed" if i in winners else "pruned" for i in range(9)]
    for number in range(9):
        run = directory / str(number)
        if number in winners:
            assert contents(run) == expected[run.name]
        else:
            summary = read_summary(run)
            assert summary.step == (40 if number in kept else 20)
            assert expected[run.name]["metrics.csv"].startswith((run / "metrics.csv").read_bytes())


@pytest.mark.parametrize("cores", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_runs_that_are_never_pruned_have_the_files_of_a_whole_sweep(command, monkeypatch, whole, cores):
    monkeypatch.setattr(execution, "available_cores", lambda: cores)
    status, out, err = command("-m", *SWEPT, *HALVED, "hydra.sweep.dir=halved")
    assert status == 0, out + err
    check_halved(Path("halved"), whole)
    assert "step 20: 3 of 9 runs continue" in err + out
    assert [line.split(",")[-7] for line in Path("halved/sweep.csv").read_text().splitlines()[1:]] == [
        str(status) for status in statuses(Path("halved"))
    ]


@pytest.mark.slow
def test_worker_processes_prune_the_same_runs(command, monkeypatch, whole):
    monkeypatch.setattr(workers, "SECONDS_WORTH_WORKERS", 0.0)
    monkeypatch.setattr(execution, "available_cores", lambda: 2)
    assert command("-m", *SWEPT, *HALVED, "hydra.sweep.dir=halved")[0] == 0
    check_halved(Path("halved"), whole)


def test_a_pruned_run_resumes_as_if_it_had_never_been_pruned(command, whole):
    expected, winners, _ = whole
    command("-m", *SWEPT, *HALVED, "hydra.sweep.dir=halved")
    number = next(number for number in range(9) if number not in winners)
    assert command("resume", f"halved/{number}")[0] == 0
    assert contents(Path("halved", str(number))) == expected[str(number)]
    assert command("resume", "halved")[0] == 0  # the others stay pruned
    assert statuses(Path("halved")).count("completed") == 2


@pytest.mark.parametrize("stop_after", [20, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 19, 25, 40, 41))])
def test_a_stopped_sweep_prunes_the_same_runs_on_resume(command, monkeypatch, whole, stop_after):
    """Stopped after an update of its first group, as by Ctrl-C; step 20 is a rung, and so is 40."""
    train, updates = workers.train_together, 0

    def train_until_stopped(runs, engine, progress, stop, until):
        update = type(engine).update

        def counted(self, k):
            nonlocal updates
            updates += 1
            update(self, k)
            if updates == stop_after:
                stop.set()

        with monkeypatch.context() as patch:
            patch.setattr(type(engine), "update", counted)
            train(runs, engine, progress, stop, until)

    with monkeypatch.context() as patch:
        patch.setattr(workers, "train_together", train_until_stopped)
        assert command("-m", *SWEPT, *HALVED, "hydra.sweep.dir=stopped")[0] == 130
    status, out, err = command("resume", "stopped")
    assert status == 0, out + err
    check_halved(Path("stopped"), whole)


@pytest.mark.slow
def test_a_killed_sweep_prunes_the_same_runs_on_resume(command, whole, tmp_path):
    for number, wait_until in enumerate(("1/metrics.csv", "2/checkpoints/last.npz", "5/checkpoints/best.npz")):
        directory = Path(f"killed-{number}")
        process = start_command(tmp_path, ["-m", *SWEPT, *HALVED, f"hydra.sweep.dir={directory}"])
        wait_for(lambda path=directory / wait_until: path.exists(), process)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert command("-m", *SWEPT, *HALVED, f"hydra.sweep.dir={directory}")[0] == 0
        check_halved(directory, whole)


# Which runs continue


def make_jobs(folder, values, configs=None, statuses=None):
    """Jobs whose metrics.csv has a value at step 10."""
    jobs = []
    for number, value in enumerate(values):
        directory = folder / str(number)
        directory.mkdir()
        write_text(directory / "metrics.csv", f"step,train_loss,val_loss\n0,1.0,0.5\n10,1.0,{value}\n20,1.0,0.0\n")
        status = (statuses or {}).get(number, Status.INTERRUPTED)
        write_summary(directory, Summary(status, 10 if status is Status.DIVERGED else 20, 30))
        config = configs[number] if configs else replace(CONFIG, seed=number)
        jobs.append(Job(number, config, directory, [f"lr={config.lr}", f"seed={config.seed}"]))
    return jobs


def continuing(halving, jobs):
    return [job.number for job in halving.survivors(jobs, 10)]


def test_the_best_third_continues_and_nan_is_the_worst(tmp_path):
    jobs = make_jobs(tmp_path, [0.3, "nan", 0.1, 0.2, 0.4, 0.5, 0.6], statuses={2: Status.DIVERGED})
    assert continuing(Halving(3, (10,), "val_loss"), jobs) == [0, 3, 4]  # 7 / 3, rounded up; run 2 diverged
    assert continuing(Halving(4, (10,), "val_loss"), jobs) == [0, 3]


def test_of_equal_values_the_lower_number_continues(tmp_path):
    assert continuing(Halving(2, (10,), "val_loss"), make_jobs(tmp_path, [0.5, 0.2, 0.2, 0.2])) == [1, 2]


def test_repeats_are_ranked_by_their_mean_and_stay_together(tmp_path):
    configs = [replace(CONFIG, lr=lr, seed=seed) for lr in (0.1, 0.3, 1.0) for seed in (0, 1)]
    jobs = make_jobs(tmp_path, [0.1, 0.9, 0.4, 0.4, 0.0, "nan"], configs)
    assert continuing(Halving(3, (10,), "val_loss", over_repeats=True), jobs) == [2, 3]


def test_folds_are_ranked_by_their_mean_and_stay_together(command):
    folds = ["data=iris", "data.folds=3", "data.fold=0,1,2", "network=linear", "steps=20", "eval_every=10"]
    assert command("-m", "lr=0.0001,0.3", *folds, "halving=2", "hydra.sweep.dir=halved")[0] == 0
    assert statuses(Path("halved")) == ["pruned"] * 3 + ["completed"] * 3


def test_halving_by_a_key_keeps_the_best_of_each_value(tmp_path):
    configs = [replace(CONFIG, lr=lr, seed=seed) for lr in (0.1, 0.3) for seed in (0, 1)]
    jobs = make_jobs(tmp_path, [0.2, 0.1, 0.4, 0.3], configs)
    assert continuing(Halving(2, (10,), "val_loss", by="lr"), jobs) == [1, 3]


# The keys of a sweep


def plan(*overrides):
    return plan_sweep(Composer(), ["data=moons", "network.widths=[8]", *overrides], cores=1)


@pytest.mark.parametrize(
    ("overrides", "rungs"),
    [
        (["rungs=[100,300,900]"], (100, 300, 900)),
        (["rungs=3"], (100, 300, 900)),
        (["rungs=1"], (900,)),
        ([], (300, 900)),  # 9 runs, 3, 1
        (["eval_every=500"], (500, 1000)),  # the nearest evaluations: 300 is nearer to 500 than to 0
        (["seed=0", "repeats=3"], (900,)),  # 3 learning rates, 1
    ],
)
def test_rungs_are_computed_from_the_number_of_steps(overrides, rungs):
    halving = plan("lr=0.1,0.2,0.3", "seed=0,1,2", "steps=2700", "halving=3", *overrides).halving
    assert halving.rungs == rungs
    assert halving.metric == "val_accuracy"
    assert Halving.from_record(yaml.safe_load(yaml.safe_dump(halving.to_record()))) == halving


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["halving=1"], "halving=1: expected an integer at least 2"),
        (["halving=3", "rungs=[300,100]"], "rungs=[300, 100]: expected increasing steps below steps=1000"),
        (["halving=3", "rungs=[1000]"], "below steps=1000"),
        (["halving=3", "rungs=[150]"], "every 100 steps, and there is none at 150"),
        (["halving=3", "rungs=9"], "9 rungs of steps=1000 would be at"),
        (["halving=3", "rungs=a"], "rungs=a: expected an integer at least 1"),
        (["halving=3", "halving_by=network"], "halving_by=network: expected a key with several values: lr"),
        (["rungs=3"], "rungs=3: the sweep is not halved; add halving=3"),
        (["halving_by=lr"], "the sweep is not halved"),
        (["halving=3", "data=moons,circles"], "runs with different data cannot be ranked"),
        (["halving=3", "loss=cross_entropy,hinge", "monitor=val_loss"], "set monitor to a metric that they share"),
        (["halving=3", "hydra/launcher=basic"], "only minitrain's own launcher prunes runs"),
    ],
)
def test_invalid_halving_is_rejected(command, overrides, message):
    status, _, err = command("-m", "lr=0.1,0.3", "data=moons", "steps=1000", *overrides)
    assert (status, err.count("\n")) == (2, 1), err
    assert message in err
    assert not Path("outputs").exists()


def test_a_directory_with_runs_of_another_sweep_is_rejected(command):
    assert command("-m", "lr=0.1,0.3", *SMALL, "hydra.sweep.dir=swept")[0] == 0
    status, _, err = command("-m", "lr=0.3,1", *SMALL, "halving=2", "hydra.sweep.dir=swept")
    assert status == 2
    assert "has 1 other run, and halving ranks the runs of one sweep" in err


def test_halving_a_single_run_is_rejected():
    with pytest.raises(ConfigError, match="expected several runs to choose from"):
        plan("lr=0.1", "halving=3")


def test_different_losses_are_ranked_by_a_metric_that_they_share():
    assert plan("loss=cross_entropy,hinge", "halving=2").halving.metric == "val_accuracy"


def test_a_dry_run_states_the_steps_that_halving_saves(command):
    _, out, err = command("-m", "lr=0.1,0.2,0.3", "seed=0,1,2", *SMALL, *HALVED, "--dry-run")
    assert "halving by val_accuracy: 9 to step 20, 3 to step 40, 1 to step 60; about 48% of the steps" in out + err
