"""Runs are ranked only by a metric that means the same for all of them."""

import json

import numpy as np
import pytest
from factories import curve, make_run

from minitrain.compare.comparison import compare
from minitrain.compare.results import load_runs
from minitrain.compare.table import format_table, groups_as_json
from minitrain.data.fingerprint import Fingerprint
from minitrain.data.preprocessing import Preprocessing
from minitrain.data.record import DataRecord, write_data_record

LOSS = {"val_loss": 1 - curve(0.9)}
REGRESSION = {"val_loss": 1 - curve(0.9), "val_rmse": 2 - curve(0.9)}


def write_pair(directory, first, second, metrics):
    for i, config in enumerate((first, second)):
        make_run(directory / str(i), {"seed": i, **config}, metrics)
    return load_runs(directory)


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ({"loss": "mse"}, {"loss": "huber"}, "different losses (loss)"),
        ({"reduction": "mean"}, {"reduction": "sum"}, "different losses (reduction)"),
        ({"loss_scale": 1.0}, {"loss_scale": 0.5}, "different losses (loss_scale)"),
        ({"huber_delta": 1.0}, {"huber_delta": 2.0}, "different losses (huber_delta)"),
        ({"class_weight": None}, {"class_weight": "balanced"}, "different losses (class_weight)"),
        ({"label_smoothing": None}, {"label_smoothing": 0.1}, "different losses (label_smoothing)"),
        ({"data": {"name": "npz", "standardize_target": True}}, {"data": {"name": "npz", "standardize_target": False}},
         "different losses (data.standardize_target)"),
        ({"data": {"name": "sine", "noise": 0.1}}, {"data": {"name": "sine", "noise": 0.2}},
         "different data (data.noise)"),
        ({"data": {"name": "sine"}}, {"data": {"name": "diabetes"}}, "different data (data)"),
    ],
)  # fmt: skip
def test_losses_of_another_kind_are_not_ranked(tmp_path, first, second, why):
    comparison = compare(write_pair(tmp_path, first, second, LOSS))
    assert (comparison.ranking.metric, comparison.unranked, comparison.best) == ("val_loss", why, None)
    table = format_table(comparison)
    assert "*" not in table
    assert f"note: not ranked: {why}, so that values of val_loss are not comparable" in table
    assert json.loads(groups_as_json(comparison))["ranked_by"] is None


def test_metric_that_all_share_ranks_instead(tmp_path):
    runs = write_pair(tmp_path, {"loss": "mse"}, {"loss": "mae"}, REGRESSION)
    comparison = compare(runs)
    assert (comparison.ranking.metric, comparison.unranked) == ("val_rmse", "")
    assert "ranked by val_rmse: different losses (loss)" in comparison.notes[0]
    requested = compare(runs, "val_loss")
    assert requested.unranked == "different losses (loss)"
    assert requested.notes[0].endswith("; --metric val_rmse ranks them")
    assert [group.values["loss"] for group in requested.groups] == ["mae", "mse"]  # in the order of their names


def test_accuracies_rank_runs_with_different_losses(tmp_path):
    comparison = compare(
        write_pair(tmp_path, {"loss": "hinge"}, {"loss": "cross_entropy"}, {"val_accuracy": curve(0.9)})
    )
    assert (comparison.unranked, comparison.notes) == ("", ())


def test_accuracies_on_different_data_have_a_note(tmp_path):
    data = [{"data": {"name": "moons", "noise": noise}} for noise in (0.1, 0.2)]
    comparison = compare(write_pair(tmp_path, *data, {"val_accuracy": curve(0.9)}))
    assert comparison.unranked == ""
    assert comparison.notes == ("different data (data.noise): the values of val_accuracy refer to different examples",)


def test_errors_in_units_of_other_targets_are_not_ranked(tmp_path):
    data = [{"data": {"name": "csv", "target": target}} for target in ("price", "area")]
    assert compare(write_pair(tmp_path, *data, REGRESSION)).unranked == "different data (data.target)"
    runs = load_runs(tmp_path)
    assert compare(runs, "val_rmse").unranked == "targets of different data (data.target)"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"data": {"name": "diabetes", "standardize": True}}, {"data": {"name": "diabetes", "standardize": False}}),
        ({"data": {"name": "diabetes", "seed": 0}}, {"data": {"name": "diabetes", "seed": 1}}),
        ({"l2": 0.1}, {"l2": 0.2}), ({"batch_size": 8}, {"batch_size": 16}), ({"lr": 0.1}, {"lr": 0.2}),
    ],
)  # fmt: skip
def test_keys_that_do_not_change_the_meaning_of_the_loss(tmp_path, first, second):
    comparison = compare(write_pair(tmp_path, first, second, LOSS))
    assert (comparison.ranking.metric, comparison.unranked) == ("val_loss", "")


def test_training_losses_with_different_penalties_are_not_ranked(tmp_path):
    runs = write_pair(tmp_path, {"l2": 0.1}, {"l2": 0.2}, {"train_loss": 1 - curve(0.9)})
    assert compare(runs).unranked == "different training objectives (l2)"
    runs = write_pair(
        tmp_path / "sums", {"batch_size": 8, "reduction": "sum"}, {"batch_size": 16, "reduction": "sum"},
        {"train_loss": 1 - curve(0.9)},
    )  # fmt: skip
    assert compare(runs).unranked == "different training objectives (batch_size)"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"name": "csv", "path": "data.csv"}, "different data (contents of data.path)"),
        ({"name": "arrays"}, "different data (contents of data)"),
    ],
)
def test_equal_options_may_lead_to_different_data(tmp_path, options, why):
    data = {"data": options}
    write_pair(tmp_path, data, data, LOSS)
    for i in range(2):
        record = DataRecord(Preprocessing(inputs=1), Fingerprint(3, 1, str(i)), False, tmp_path)
        write_data_record(tmp_path / str(i), record)
    assert compare(load_runs(tmp_path)).unranked == why


def test_runs_of_unlike_losses_are_drawn_without_scores(tmp_path, command):
    write_pair(tmp_path / "sweep", {"loss": "mse"}, {"loss": "huber"}, LOSS)
    status, out, _ = command("compare", "sweep", "--output", "figures")
    assert status == 0
    assert "not ranked: different losses (loss)" in out
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        "comparison.png",
        "comparison.svg",
        "report.html",
    }
    assert "not ranked" in (tmp_path / "figures" / "report.html").read_text()


def test_order_of_unranked_groups_is_numeric(tmp_path):
    for i, scale in enumerate((10.0, 9.0, 100.0)):
        make_run(tmp_path / str(i), {"loss_scale": scale}, {"val_loss": np.full(3, scale)})
    groups = compare(load_runs(tmp_path)).groups
    assert [group.values["loss_scale"] for group in groups] == [9.0, 10.0, 100.0]
