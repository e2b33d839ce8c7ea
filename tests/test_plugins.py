"""Hydra's launchers and sweepers of others, where they are installed, work with our runs."""

from pathlib import Path

import pytest

from minitrain.storage.summary import read_summary

SMALL = ["data=moons", "data.samples=60", "network.widths=[4]", "batch_size=20", "steps=20", "hydra.sweep.dir=swept"]


def runs():
    found = (run for run in Path("swept").iterdir() if (run / ".hydra").is_dir())
    return sorted(found, key=lambda run: int(run.name))


@pytest.mark.parametrize(
    ("package", "launcher"),
    [("hydra_plugins.hydra_joblib_launcher", "joblib"), ("hydra_plugins.hydra_submitit_launcher", "submitit_local")],
)
@pytest.mark.filterwarnings("default")
def test_launchers_of_others(command, package, launcher):
    pytest.importorskip(package)
    assert command("-m", "lr=0.1,0.3", *SMALL)[0] == 0
    ours = [(run / "metrics.csv").read_bytes() for run in runs()]
    Path("swept").rename("ours")
    status, out, err = command("-m", "lr=0.1,0.3", *SMALL, f"hydra/launcher={launcher}")
    assert status == 0, out + err
    assert [(run / "metrics.csv").read_bytes() for run in runs()] == ours


@pytest.mark.parametrize("given", [[], ["hydra.sweeper.direction=minimize"]])
@pytest.mark.filterwarnings("default")
def test_optuna_searches_in_batches_for_the_highest_accuracy(command, given):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    search = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=3", "hydra.sweep.dir=swept"]
    status, out, err = command(
        "-m", "lr=tag(log,interval(1e-6,1))", "hydra.sweeper.sampler.seed=3", "data=moons", "steps=100", *search, *given
    )
    assert status == 0, out + err
    values = [read_summary(run).best.value for run in runs()]
    assert len(values) == 6
    assert min(values) < max(values)
    found = (Path("swept") / "optimization_results.yaml").read_text()
    best = float(found.partition("best_value: ")[2])
    assert best == (min(values) if given else max(values))
