"""Runs that differ in numbers only have one structure; groups of one structure keep all cores busy."""

from dataclasses import replace

import pytest

from minitrain.components.networks import MLPConfig
from minitrain.config.schema import RunConfig
from minitrain.data import Moons
from minitrain.optim import AdamRule, MomentumRule
from minitrain.optim.schedules import Constant, Cosine
from minitrain.sweep.grouping import group_runs, structure

CONFIG = RunConfig(Moons(), MLPConfig([8], dropout=0.1), MomentumRule(0.9), Constant(), lr=0.1, l2=0.01)


@pytest.mark.parametrize(
    "changes",
    [
        {"lr": 0.2}, {"seed": 7}, {"l2": 0.0}, {"optimizer": MomentumRule(0.5)},
        {"network": MLPConfig([8], dropout=0.3, init_scale=2.0)},
    ],
)  # fmt: skip
def test_numbers_do_not_change_the_structure(changes):
    assert structure(replace(CONFIG, **changes)) == structure(CONFIG)


@pytest.mark.parametrize(
    "changes",
    [
        {"l2": None}, {"activation": "silu"}, {"optimizer": AdamRule()}, {"network": MLPConfig([9], dropout=0.1)},
        {"network": MLPConfig([8])}, {"schedule": Cosine()}, {"steps": 7}, {"batch_size": None}, {"dtype": "float64"},
        {"data": Moons(noise=0.2)},
    ],
)  # fmt: skip
def test_other_changes_change_the_structure(changes):
    assert structure(replace(CONFIG, **changes)) != structure(CONFIG)


def test_groups_contain_each_run_once_and_keep_all_cores_busy():
    configs = {number: replace(CONFIG, seed=number, batch_size=20) for number in range(7)}
    groups = group_runs(configs, cores=3, overrides=dict.fromkeys(configs, ()))
    assert sorted(number for group in groups for number in group.runs) == list(range(7))
    assert len(groups) == 3
