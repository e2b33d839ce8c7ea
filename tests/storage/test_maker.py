"""A run records the version that made it, and a run of a later version is explained in one line."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from minitrain import load_model, load_runs
from minitrain.errors import NewerVersionError
from minitrain.storage.maker import FORMAT, full_version
from minitrain.storage.summary import read_summary

RUN = ["data=moons", "steps=20", "network.widths=[4]"]
COMMANDS = {
    "resume": ["resume", "run", "steps=30"],
    "predict": ["predict", "run", "x.npy"],
    "export": ["export", "run", "model.safetensors"],
}


@pytest.fixture(params=COMMANDS)
def arguments(request):
    """A command line that reads a run."""
    if request.param == "export":
        pytest.importorskip("safetensors")
    return COMMANDS[request.param]


def change_summary(directory, **values):
    path = Path(directory, "summary.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def change_config(directory, old, new):
    path = Path(directory, ".hydra", "config.yaml")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def files():
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@pytest.fixture
def run(command):
    np.save("x.npy", np.zeros((2, 2)))
    assert command(*RUN, "hydra.run.dir=run")[0] == 0


def test_a_summary_records_version_and_format(command, tmp_path):
    if shutil.which("git") is not None:
        name = ["-c", "user.name=a", "-c", "user.email=a@b"]
        for arguments in (["init", "-q"], [*name, "commit", "-q", "--allow-empty", "-m", "of the user"]):
            subprocess.run(["git", *arguments], check=True, cwd=tmp_path)
        project = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=tmp_path).stdout
    else:
        project = ""
    assert command(*RUN, "hydra.run.dir=run")[0] == 0
    summary = read_summary(Path("run"))
    assert summary.versions["minitrain"] == full_version()
    assert summary.git_commit == (project.strip() or None)
    assert summary.format == FORMAT
    status, out, _ = command("--version")
    assert (status, out) == (0, f"minitrain {full_version()}\n")


def test_a_run_of_a_later_format(command, run, arguments):
    change_summary("run", format=FORMAT + 1, versions={"minitrain": "9.3.0"}, status="future")
    before = files()
    status, _, err = command(*arguments)
    assert status == 2
    assert err == f"minitrain: run: made by minitrain 9.3.0, and this is {full_version()}: upgrade minitrain\n"
    assert files() == before


def test_a_run_of_a_later_format_in_python(run):
    change_summary("run", format=FORMAT + 1, versions={"minitrain": "9.3.0"})
    message = f"run: made by minitrain 9.3.0, and this is {full_version()}: upgrade minitrain"
    with pytest.raises(NewerVersionError, match=message.replace("+", r"\+")):
        load_model("run")
    assert load_runs("run").skipped == [message]


@pytest.mark.parametrize("versions", [None, {}, {"minitrain": 3}])
def test_a_later_format_without_a_version(command, run, versions):
    change_summary("run", format=FORMAT + 1, versions=versions)
    _, _, err = command("resume", "run")
    assert f"run: made by minitrain of a later format ({FORMAT + 1}), and this is " in err


@pytest.mark.parametrize("arguments", [["resume", "swept"], ["-m", "lr=0.1,0.3", *RUN, "hydra.sweep.dir=swept"]])
def test_a_sweep_with_a_run_of_a_later_format(command, arguments):
    assert command("-m", "lr=0.1,0.3", *RUN, "hydra.sweep.dir=swept")[0] == 0
    change_summary("swept/1", format=FORMAT + 1, versions={"minitrain": "9.3.0"})
    before = files()
    status, _, err = command(*arguments)
    assert status == 2
    assert err.startswith("minitrain: swept/1: made by minitrain 9.3.0")
    assert files() == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps: 20\n", "steps: 20\nfuture: 3\n", "future=3: unknown key"),
        ("name: sgd", "name: future", "optimizer.name=future: expected one of"),
        ("activation: relu", "activation: future", "activation=future: expected one of"),
    ],
)
def test_an_unknown_key_of_a_later_version(command, run, arguments, old, new, message):
    change_config("run", old, new)
    change_summary("run", versions={"minitrain": "0.10.0+g123456789abc"})
    status, _, err = command(*arguments)
    assert status == 2
    start = f"minitrain: run: made by minitrain 0.10.0+g123456789abc, and this is {full_version()}: upgrade minitrain ("
    assert err.startswith(start + message)
    assert len(err.splitlines()) == 1
    assert load_runs("run").skipped == []


def test_an_unknown_key_of_another_commit(command, run):
    change_config("run", "steps: 20", "steps: 20\nfuture: 3")
    change_summary("run", versions={"minitrain": "0.1.0+g123456789abc"})
    _, _, err = command("resume", "run")
    assert "future=3: " in err
    assert err.endswith(f"; the run was made by minitrain 0.1.0+g123456789abc, and this is {full_version()}\n")


def test_an_error_of_the_same_version_or_of_the_command_line_names_no_version(command, run):
    change_config("run", "activation: relu", "activation: rleu")
    assert "made by" not in command("resume", "run")[2]
    change_config("run", "activation: rleu", "activation: relu")
    change_summary("run", versions={"minitrain": "9.0"})
    status, _, err = command("resume", "run", "steps=-1")
    assert (status, "made by" in err) == (2, False)


def test_runs_of_later_commits_without_unknown_keys_are_accepted(command, run):
    change_summary("run", versions={"minitrain": "9.0"})
    assert command("resume", "run", "steps=30")[0] == 0
    assert read_summary(Path("run")).versions["minitrain"] == full_version()


@pytest.mark.parametrize("value", ["2", None, True, 1.5])
def test_a_damaged_format(command, run, value):
    change_summary("run", format=value)
    status, _, err = command("resume", "run")
    assert status == 2
    assert "not a valid run summary (format: expected int)" in err
