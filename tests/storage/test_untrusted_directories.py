"""Untrusted directories of runs are rejected in one line: none of their code runs, nothing outside is written."""

import json
import os
import pickle
import shutil
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minitrain.cli import main
from minitrain.storage import checkpoint
from minitrain.storage.checkpoint import load_checkpoint, save_checkpoint
from minitrain.storage.summary import read_summary, write_summary

MEGABYTE = "x" * 2**20
DEEP = "[" * 400 + "]" * 400


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


class Touch:
    """An object whose pickle creates a file when it is loaded."""

    def __reduce__(self):
        return Path.touch, (Path("here"),)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that was stopped at step 20 of 30, and a file of examples."""
    folder = tmp_path_factory.mktemp("trained")
    np.save(folder / "x.npy", np.ones((3, 4)))
    (folder / "examples.csv").write_text("1,1,1,1,setosa\n1,1,1,2,virginica\n")
    config = ["data=iris", "network.widths=[4]", "network.norm=batch", "checkpoint_every=10"]
    assert main([*config, "steps=20", f"hydra.run.dir={folder / 'theirs'}"]) == 0
    path = folder / "theirs" / ".hydra" / "config.yaml"
    path.write_text(path.read_text().replace("steps: 20", "steps: 30"))
    return folder


@pytest.fixture
def theirs(tmp_path, trained):
    """A copy of that run, beside a module that must not be imported."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    sys.modules.pop("evil", None)
    (tmp_path / "evil.py").write_text("raise SystemExit('run')")
    return tmp_path / "theirs"


def config(old, new):
    def change(run):
        path = run / ".hydra" / "config.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


MULTIPLYING = "k0: x\n" + "".join(f"k{i + 1}: {f'${{k{i}}}' * 10}\n" for i in range(6))


def also(text):
    """More lines at the end of the config."""

    def change(run):
        path = run / ".hydra" / "config.yaml"
        path.write_text(path.read_text() + text)

    return change


def text_of(name, text):
    return lambda run: (run / name).write_text(text)


def summary(**changed):
    return lambda run: write_summary(run, replace(read_summary(run), **changed))


def checkpoints(change):
    """Change what both checkpoints hold, and give them the checksum that belongs to it."""

    def changed(run):
        for path in (run / "checkpoints").iterdir():
            save_checkpoint(path, *change(*load_checkpoint(path)))

    return changed


def meta(**changed):
    return checkpoints(lambda arrays, meta: (arrays, replace(meta, **changed)))


def raw_progress(value):
    """Replace the progress in both checkpoints by any JSON value, with a valid checksum."""

    def change(run):
        for path in (run / "checkpoints").iterdir():
            arrays, _ = load_checkpoint(path)
            members = {**arrays, "meta": np.frombuffer(json.dumps(value).encode(), np.uint8)}
            digest = np.frombuffer(checkpoint._checksum(members), np.uint8)
            np.savez(path, **members, checksum=digest)

    return change


def record(key, value):
    """Replace a value of the preprocessing in data.json."""

    def change(run):
        values = json.loads((run / "data.json").read_text())
        values["preprocessing"][key] = value
        (run / "data.json").write_text(json.dumps(values))

    return change


def counts(values):
    """Replace the numbers of examples of the classes in data.json."""

    def change(run):
        content = json.loads((run / "data.json").read_text())
        (run / "data.json").write_text(json.dumps({**content, "class_counts": values}))

    return change


def each_array(change):
    return checkpoints(lambda arrays, meta: ({name: change(array) for name, array in arrays.items()}, meta))


def bytes_of_checkpoints(content):
    return lambda run: [path.write_bytes(content) for path in (run / "checkpoints").iterdir()]


def pipes(*names):
    def change(run):
        for name in names:
            (run / name).unlink()
            os.mkfifo(run / name)

    return change


def link(name, target):
    """A file or folder that leads to another's."""

    def change(run):
        place, to = run / name, run.parent / target
        if place.is_dir():
            shutil.move(place, to)
        else:
            place.unlink()
            to.write_text("mine")
        place.symlink_to(to)

    return change


ALL = ("compare", "resume", "predict", "evaluate", "export")
CONFIG = ".hydra/config.yaml"
# What was done to the directory -> which commands have to refuse it: the others may, or do not look there.
CHANGES = {
    "a config that is code": (text_of(CONFIG, "!!python/object/apply:os.system ['touch here']"), ALL),
    "a config that is a bomb": (text_of(CONFIG, BOMB), ALL),
    "a deep config": (text_of(CONFIG, f"a: {DEEP}"), ALL[1:]),
    "a long config": (text_of(CONFIG, f"lr: {MEGABYTE}"), ALL),
    "a binary config": (text_of(CONFIG, "\x00\x01"), ALL),
    "a config that is a list": (text_of(CONFIG, "- 1"), ALL),
    "a config that is a pipe": (pipes(CONFIG), ALL),
    "interpolations that multiply": (also(MULTIPLYING), ALL),
    "interpolations that go round": (also("a: ${b}\nb: ${a}\n"), ALL),
    "extensions that are a number": (config("extensions: []", "extensions: 5"), ALL[1:]),
    "a log that is a pipe": (pipes("minitrain.log"), ALL[1:2]),
    "a best by another metric": (meta(best={"metric": "foo", "value": 1.0, "step": 0}), ALL[1:2]),
    "a best that is endless": (meta(best={"metric": "val_accuracy", "value": 10**400, "step": 0}), ALL[1:]),
    "_target_": (config("name: iris", "_target_: os.system\n  name: iris"), ALL[1:]),
    "an environment variable": (config("seed: 0", "seed: ${oc.env:HOME}"), ALL[1:]),
    "a file of this machine": (config("name: iris", "name: csv\n  path: /etc/passwd\n  target: x"), ALL[1:2]),
    "weights from a device": (config("init_file: null", "init_file: /dev/zero"), ()),  # the checkpoint has them
    "a network larger than memory": (config("- 4", "- 1000000000"), ALL[1:]),
    "endless steps": (config("steps: 30", "steps: 1e300"), ALL[1:]),
    "a plot outside": (config("plots: []", "plots: [../../x]"), ALL[1:]),
    "extensions": (config("extensions: []", "extensions: [evil]"), ()),
    "an extension's activation": (
        lambda run: (config("extensions: []", "extensions: [evil]")(run), config("relu", "evil")(run)), ALL[1:],
    ),
    "a summary of other types": (summary(step="9", best=3), ALL[:2]),
    "a summary of tags": (summary(final={"<img src=x onerror=alert(1)>": "<script>"}), ALL[:2]),
    "a step below 0": (summary(step=-5), ALL[:2]),
    "a step beyond the end": (summary(step=10**30), ALL[1:2]),
    "a deep summary": (text_of("summary.json", "[" * 100_000), ALL[:2]),
    "a summary that is a pipe": (pipes("summary.json"), ALL[:2]),
    "overrides that are code": (text_of(".hydra/overrides.yaml", "!!python/object/apply:os.system [x]"), ALL[1:2]),
    "overrides that are a bomb": (text_of(".hydra/overrides.yaml", BOMB), ALL[1:2]),
    "deep overrides": (text_of(".hydra/overrides.yaml", DEEP), ALL[1:2]),
    "metrics of texts": (text_of("metrics.csv", "step,lr,train_loss\nx,1,2\n"), ALL[:2]),
    "metrics of many columns": (text_of("metrics.csv", ",".join(["step"] * 100_000) + "\n"), ALL[:2]),
    "metrics that are a pipe": (pipes("metrics.csv"), ALL[:2]),
    "a data record that is deep": (text_of("data.json", "[" * 100_000), ALL[1:]),
    "a data record that is a list": (text_of("data.json", "[1]"), ALL[1:]),
    "a data record that is a pipe": (pipes("data.json"), ALL[1:]),
    "a data record elsewhere": (link("data.json", "victim"), ALL[1:]),
    "a billion inputs": (record("inputs", 10**9), ALL[1:]),
    "a scale of other columns": (record("x_scale", {"mean": [0.0], "deviation": [1.0]}), ALL[1:]),
    "a scale of texts": (record("x_scale", {"mean": "<script>", "deviation": 1.0}), ALL[1:]),
    "a deviation of 0": (record("x_scale", {"mean": 0.0, "deviation": 0.0}), ALL[1:]),
    "a billion classes": (record("classes", 10**9), ALL[1:]),
    "names of other classes": (record("class_names", ["a"]), ALL[1:]),
    "a class of -1 examples": (counts([40, 40, -1]), ALL[1:]),
    "counts of other classes": (counts([40]), ALL[1:]),
    "columns of texts": (record("columns", ["a", "b"]), ALL[1:]),
    "a pickle": (bytes_of_checkpoints(pickle.dumps(Touch())), ALL[1:]),
    "pickles in an archive": (
        checkpoints(lambda arrays, meta: ({**arrays, "parameters/x": np.array([Touch()], object)}, meta)), ALL[1:],
    ),
    "checkpoints that are pipes": (pipes("checkpoints/last.npz", "checkpoints/best.npz"), ALL[1:]),
    "a checkpoint of step -3": (meta(step=-3), ALL[1:]),
    "a checkpoint beyond the end": (meta(step=10**9), ALL[1:2]),
    "a checkpoint of step 1/2": (meta(step=0.5), ALL[1:]),
    "a checkpoint with strings": (meta(best="x", final=3), ALL[1:]),
    "a checkpoint with a list": (raw_progress([{"step": 0}]), ALL[1:]),
    "weights of another type": (each_array(lambda array: array.astype("float64")), ALL[1:]),
    "weights that are texts": (each_array(lambda array: array.astype("U9")), ALL[1:]),
    "weights of other shapes": (each_array(lambda array: array[..., None]), ALL[1:]),
    "no weights": (checkpoints(lambda arrays, meta: ({}, meta)), ALL[1:]),
    "a log elsewhere": (link("minitrain.log", "victim"), ALL[1:2]),
    "metrics elsewhere": (link("metrics.csv", "victim"), ALL[:2]),
    "checkpoints elsewhere": (link("checkpoints", "victim"), ALL[1:2]),
}  # fmt: skip


@pytest.mark.parametrize("commands", ALL)
@pytest.mark.parametrize("change", CHANGES)
def test_untrusted_run_is_rejected_and_none_of_its_code_runs(command, tmp_path, theirs, change, commands):
    change, refusing = CHANGES[change]
    if commands == "export":
        pytest.importorskip("safetensors")
    change(theirs)
    before = everything(tmp_path)
    more = {"predict": ["x.npy"], "evaluate": ["examples.csv"], "export": ["model.safetensors"]}.get(commands, [])
    status, out, err = command(commands, "theirs", *more)
    assert status in ((2,) if commands in refusing else (0, 2)), err
    assert "Traceback" not in out + err
    assert "evil" not in sys.modules
    assert not Path("here").exists()
    if status == 2:
        assert len(err.splitlines()) == 1
        assert everything(tmp_path) == before
    victim = tmp_path / "victim"
    assert not victim.is_file() or victim.read_text() == "mine"


def test_unchanged_run_is_accepted(command, theirs):
    files = {"predict": ["x.npy"], "evaluate": ["examples.csv"]}
    for name in ("compare", "predict", "evaluate", "resume"):
        assert command(name, "theirs", *files.get(name, []))[0] == 0
    assert read_summary(theirs).step == 30


SWEPT = ["overrides that are code", "a checkpoint of step -3", "checkpoints elsewhere", "a best by another metric"]


@pytest.mark.parametrize("change", SWEPT)
def test_untrusted_sweep_is_rejected(command, tmp_path, theirs, change):
    (tmp_path / "sweep").mkdir()
    run = theirs.rename(tmp_path / "sweep" / "0")
    (tmp_path / "sweep" / "multirun.yaml").write_text(
        f"x:\n{textwrap.indent(BOMB, '  ')}hydra: {{overrides: {{task: *h}}}}"
    )
    hydra = run / ".hydra" / "hydra.yaml"
    hydra.write_text(hydra.read_text().replace("num: 0", f"num: {'9' * 5000}"))
    summary(status="interrupted")(run)
    CHANGES[change][0](run)
    status, out, err = command("resume", "sweep")
    assert status in (1, 2)
    assert "Traceback" not in out + err
    assert not Path("here").exists()
