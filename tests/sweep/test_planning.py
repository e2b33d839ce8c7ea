"""A sweep's overrides are separated, expanded and validated before anything is written."""

from pathlib import Path

import pytest
from sweep_runs import SMALL

from minitrain.config.composition import Composer
from minitrain.sweep.planning import SweepRequest, plan_sweep


def test_keys_of_the_sweep_are_separated_from_what_hydra_composes():
    overrides = [
        "lr=0.1,0.3",
        "zip=[lr,seed]",
        "seed=0,1",
        "hydra.sweep.dir=x",
        "repeats=2",
        "samples=3",
        "sample_seed=1",
    ]
    request = SweepRequest.parse(overrides)
    assert request.hydra == ["lr=0.1,0.3", "seed=0,1", "hydra.sweep.dir=x"]
    assert request.grid == ["zip=[lr,seed]", "repeats=2", "samples=3", "sample_seed=1"]


def test_a_plan_has_a_spec_and_a_config_for_each_job():
    plan = plan_sweep(Composer(), ["lr=0.1,0.3", "repeats=2", *SMALL], cores=2)
    assert plan.sweep.is_grid
    assert [(config.lr, config.seed) for config in plan.configs] == [(0.1, 0), (0.1, 1), (0.3, 0), (0.3, 1)]
    assert [spec.overrides for spec in plan.specs] == plan.sweep.jobs
    assert sorted(run for group in plan.groups for run in group.runs) == [0, 1, 2, 3]


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_duplicate_runs_are_rejected(command, dry_run):
    status, _, err = command(*dry_run, "-m", "lr=0.1,0.10", *SMALL)
    assert status == 2
    assert "runs 0 and 1 are the same (lr=0.1 data=moons" in err
    assert not list(Path().iterdir())


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_runs_with_one_directory_are_rejected(command, dry_run):
    status, _, err = command(*dry_run, "-m", "lr=0.1,0.3", "seed=0,1", "hydra.sweep.subdir=${lr}", *SMALL)
    assert status == 2
    assert "runs 0 and 1 would share 0.1" in err
    assert not list(Path().iterdir())


def test_the_former_name_of_the_launcher_is_rejected_with_the_new_one(command):
    status, _, err = command("-m", "lr=0.1,0.3", "hydra/launcher=stacked", *SMALL)
    assert status == 2
    assert "hydra/launcher=stacked: renamed; use hydra/launcher=grouped" in err
