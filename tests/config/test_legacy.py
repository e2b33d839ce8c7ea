"""Directories of runs and sweeps that version 0.1.0 wrote, and its names on the command line and in presets."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minitrain import load_model, load_runs
from minitrain.config.loading import read_run_config
from minitrain.storage.legacy import LATER_SPLIT_OPTIONS, RENAMED_KEYS, RENAMED_VALUES, upgrade
from minitrain.storage.metrics_file import read_metrics
from minitrain.storage.stored_config import read_overrides, read_stored_config
from minitrain.storage.summary import Status, read_summary
from minitrain.storage.sweep_directory import read_sweep_overrides

FIXTURES = Path(__file__).parents[1] / "fixtures" / "version_0_1_0"


@pytest.fixture
def old(tmp_path):
    """A copy of the directories `run` and `sweep` of version 0.1.0."""
    shutil.copytree(FIXTURES, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_stored_config_has_the_names_of_today():
    stored = read_stored_config(FIXTURES / "run")
    expected = {"max_grad_norm": 1, "diagnostics": ["grad_norm"], "monitor": "val_loss", "engine": "numpy"}
    assert {key: stored.values[key] for key in expected} == expected
    assert stored.values["optimizer.name"] == "adam"
    assert stored.values["optimizer.eps_hat"] is True
    assert stored.nested["network"]["layers"] == [
        {"reshape": [1, 2]},
        {"conv": {"channels": 2, "kernel_size": 1}},
        {"max_pool": {"kernel_size": 2}},
        "flatten",
        {"dropout": {"p": 0.1}},
        "linear",
    ]
    assert not {"clip", "metrics", "metric"} & stored.flat.keys()


def test_stored_overrides_have_the_names_of_today():
    overrides = read_overrides(FIXTURES / "run")
    assert {"max_grad_norm=1", "diagnostics=[grad_norm]", "monitor=val_loss"} < set(overrides)
    assert overrides[overrides.index("optimizer=adam") + 1] == "optimizer.eps_hat=true"
    assert "max_grad_norm=1" in read_sweep_overrides(FIXTURES / "sweep")


@pytest.mark.parametrize(
    ("old_network", "network"),
    [
        ({"name": "cnn", "kernel": 3, "pool": 2}, {"name": "cnn", "kernel_size": 3, "pool": 2}),
        ({"name": "mine", "kernel": 3}, {"name": "mine", "kernel": 3}),
        (
            {"name": "sequential", "layers": [{"residual": [{"dropout": {"rate": 0.1}}]}, {"dropout": 0.1}, "relu"]},
            {"name": "sequential", "layers": [{"residual": [{"dropout": {"p": 0.1}}]}, {"dropout": 0.1}, "relu"]},
        ),
        ({"name": "sequential", "layers": 3}, {"name": "sequential", "layers": 3}),
    ],
)
def test_options_of_networks_and_layers_are_renamed(old_network, network):
    assert upgrade({"network": old_network}) == {"network": network}


def test_runs_from_before_stratification_keep_their_split(old):
    """Their configs lack the options that came later; the validation examples are the first of a permutation."""
    later = {"test": 0.0, "folds": None, "fold": None, "stratify": False}
    for directory in (old / "run", old / "sweep" / "0"):
        assert read_stored_config(directory).nested["data"].items() >= later.items()
        config = read_run_config(directory)
        data, whole = config.dataset.load(), replace(config.dataset, validation=0.0, standardize=False).load()
        held_out = round(config.data.validation * len(whole.x_train))
        np.testing.assert_array_equal(data.y_val, whole.y_train[:held_out])
        assert (data.y_val.tolist() != replace(config.dataset, stratify=True).load().y_val.tolist()) == (held_out > 0)


@pytest.mark.parametrize(
    "data",
    [
        {"name": "iris", "validation": 0.2, "standardize": True, "seed": 0, "stratify": True},
        {"name": "point", "x": 3.0},
        {"name": "mine", "validation": 0.2, "seed": 0},  # a dataset of the user without the options of a split
        {"name": "mine", "seed": 0},
    ],
)
def test_only_datasets_with_a_split_get_its_later_options(data):
    assert upgrade({"data": data}) == {"data": data}


def test_a_run_without_the_option_stratify_is_resumed_bit_for_bit(command):
    """A run that was stored before the option existed: its config lacks it."""
    options = ["data=iris", "eval_every=10", "checkpoint_every=20", "data.stratify=false"]
    for name, steps in (("whole", 60), ("run", 40)):
        assert command(*options, f"steps={steps}", f"hydra.run.dir={name}")[0] == 0
    config = Path("run/.hydra/config.yaml")
    kept = [line for line in config.read_text().splitlines() if line.split(":")[0].strip() not in LATER_SPLIT_OPTIONS]
    assert len(kept) == len(config.read_text().splitlines()) - len(LATER_SPLIT_OPTIONS)
    config.write_text("\n".join(kept) + "\n")
    assert command("resume", "run", "steps=60")[0] == 0
    assert Path("run/metrics.csv").read_bytes() == Path("whole/metrics.csv").read_bytes()
    assert load_model("run").config == load_model("whole").config


def test_load_runs_compares_old_runs(old):
    runs = load_runs(old / "run", old / "sweep")
    assert runs.skipped == []
    assert [run.status for run in runs] == ["completed"] * 3
    assert runs[0].config["max_grad_norm"] == 1
    assert runs[0].overrides["monitor"] == "val_loss"
    assert load_runs(old / "sweep").keys == ["lr"]
    assert len(runs[0].curve("grad_norm")[0]) > 1


def test_config_of_an_old_run_is_valid(old):
    config = read_run_config(old / "run")
    assert (config.max_grad_norm, config.diagnostics, config.monitor) == (1.0, ["grad_norm"], "val_loss")


def test_model_of_an_old_run_predicts(old):
    prediction = load_model(old / "run").predict(np.array([[0.5, -0.2], [1.0, 0.3]]))
    assert prediction.probabilities.shape == (2, 2)


def assert_close_columns(actual, expected):
    """Compare rows that were computed on two machines, whose linear algebra libraries may round differently."""
    for name, values in expected.items():
        np.testing.assert_allclose(actual[name][: len(values)], values, rtol=1e-5, err_msg=name)


def test_old_run_resumes_for_more_steps(command, old):
    before = (old / "run" / "metrics.csv").read_text().splitlines()
    columns = read_metrics(old / "run")
    status, out, err = command("resume", str(old / "run"), "steps=30")
    assert status == 0, out + err
    assert "a run of version 0.1.0, which did not record its data" in out + err
    # The row of the checkpoint's step, the last one, is computed again.
    assert (old / "run" / "metrics.csv").read_text().splitlines()[: len(before) - 1] == before[:-1]
    assert_close_columns(read_metrics(old / "run"), columns)
    assert (read_summary(old / "run").status, read_summary(old / "run").step) == (Status.COMPLETED, 30)
    assert read_stored_config(old / "run").values["steps"] == 30


def test_old_sweep_resumes(command, old):
    shutil.rmtree(old / "sweep" / "1" / "checkpoints")
    for name in ("metrics.csv", "summary.json"):
        (old / "sweep" / "1" / name).unlink()
    status, out, err = command("resume", str(old / "sweep"))
    assert status == 0, out + err
    actual, expected = (read_metrics(folder / "sweep" / "1") for folder in (old, FIXTURES))
    assert {name: len(values) for name, values in actual.items()} == {n: len(v) for n, v in expected.items()}
    assert_close_columns(actual, expected)


def test_old_run_whose_classes_are_targets_of_mse_is_resumed_and_predicts(command):
    # Version 0.1.0 took integers in a table for classes, whatever the loss, and encoded them one-hot for loss=mse.
    rows = [f"{a / 7},{b / 5},{(a + b) % 3}" for a in range(7) for b in range(5)]
    Path("table.csv").write_text("\n".join(["a,b,kind", *rows]) + "\n")
    arguments = ["data=csv", "data.path=table.csv", "loss=mse", "batch_size=8", "steps=20", "hydra.run.dir=run"]
    assert command(*arguments, "data.task=classification")[0] == 0
    path = Path("run/.hydra/config.yaml")
    path.write_text(path.read_text().replace("task: classification", "task: auto"))
    Path("run/data.json").unlink()
    for steps in (30, 40):  # the first time without a record of the data, the second time with one
        status, out, err = command("resume", "run", f"steps={steps}")
        assert status == 0, out + err
        assert read_summary(Path("run")).step == steps
    model = load_model("run")
    assert (model.preprocessing.classes, model.predict([[0.5, 0.5]]).outputs.shape) == (3, (1, 3))
    Path("run/data.json").unlink()
    assert load_model("run").preprocessing.classes == 3
    assert command("predict", "run", "table.csv")[0] == 0
    assert command(*arguments[:-1], "hydra.run.dir=new")[0] == 0  # a new run predicts numbers
    assert load_model("new").preprocessing.targets == 1
    Path("new/data.json").unlink()
    shutil.rmtree("new/checkpoints")  # as of a run that was killed before it began
    assert command("resume", "new", "steps=30")[0] == 0
    assert load_model("new").preprocessing.targets == 1


COMMAND_LINES = [
    *((key, "1", f"{key}=1: renamed; use {new}=1") for key, new in RENAMED_KEYS.items() if "." not in key),
    *((key, old, f"{key}={old}: renamed; use {' '.join(new)}") for (key, old), new in RENAMED_VALUES.items()),
]


@pytest.mark.parametrize(("key", "value", "message"), COMMAND_LINES)
@pytest.mark.parametrize("sweep", [[], ["-m"]], ids=["run", "sweep"])
def test_old_name_on_the_command_line_is_an_error_that_states_the_new_one(command, sweep, key, value, message):
    status, _, err = command(*sweep, f"{key}={value}")
    assert status == 2
    assert err == f"minitrain: {message}\n"
    assert list(Path().iterdir()) == []


def test_old_option_of_a_network_is_an_error_that_states_the_new_one(command):
    status, _, err = command("network=cnn", "network.kernel=5")
    assert (status, err) == (2, "minitrain: network.kernel=5: renamed; use network.kernel_size=5\n")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("clip: 1", "clip=1: renamed; use max_grad_norm=1"),
        ("clip: null", "clip=null: renamed; use max_grad_norm=null"),
        ("engine: replay", "engine=replay: renamed; use engine=numpy"),
    ],
)
def test_old_name_in_a_preset_is_an_error_that_states_the_new_one(command, tmp_path, lines, message):
    preset = tmp_path / "presets" / "experiments" / "mine.yaml"
    preset.parent.mkdir(parents=True)
    preset.write_text(f"# @package _global_\n{lines}\n")
    status, _, err = command("--config-dir", "presets", "experiments=mine")
    assert (status, err) == (2, f"minitrain: {message}\n")
