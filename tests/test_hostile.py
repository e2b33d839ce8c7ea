"""Configs and directories that mean harm are refused in a line: no code of theirs runs, nothing is written."""

import json
import pickle
import sys
import tracemalloc
from pathlib import Path

import pytest
from made import make_run

MEGABYTE = "x" * 2**20
DEEP = "[" * 400 + "]" * 400


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["+_target_=os.system"],
        ["+network._target_=os.system"],
        ["network={_target_:os.system,command:touch_here}"],
        ["network._target_=builtins.exec"],
        ["data=../../../etc/passwd"],
        ["network=../optimizer/adam"],
        ["+../../x=1"],
        ["experiments=../../../../tmp/evil"],
        ["optimizer=/etc/passwd"],
        ["data=csv", "data.path=../../../../etc/shadow", "data.target=x"],
        ["data=npz", "data.path=/dev/zero"],
        ["network.init_file=/dev/zero"],
        ["network.init_file=/etc/passwd"],
        ["lr=nan"],
        ["lr=inf"],
        ["lr=-inf"],
        ["lr=1e999"],
        ["lr=[0.1,0.2]"],
        ["lr={a:1}"],
        ["lr=true"],
        ["lr=null"],
        ["seed=-1"],
        ["steps=1e300"],
        ["steps=0"],
        ["batch_size=1e18"],
        ["network.widths=[1000000000,1000000000]"],
        ["network.widths=[[[1]]]"],
        [f"network.widths={DEEP}"],
        [f"activation={MEGABYTE}"],
        [f"{MEGABYTE}=1"],
        ["activation=rélu☃"],
        ["activation='\u202eulER'"],
        ["activation=__import__('os')"],
        ["activation=${oc.env:HOME}"],
        ["lr=${lr}"],
        ["lr=${a.b.c}"],
        ["extensions=[os;system]"],
        ["extensions=[../evil]"],
        ["loss=output;rm"],
        ["network=sequential", "network.layers=[{linear:64,evil:1}]"],
        ["network=sequential", "network.layers=[{_target_:os.system}]"],
        ["metric=__class__"],
        ["dtype=object"],
        ["engine=../../x"],
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
@pytest.mark.parametrize("sweep", [[], ["-m"]], ids=["run", "sweep"])
def test_a_hostile_config_is_refused(command, tmp_path, sweep, arguments):
    status, _, err = command(*sweep, *arguments)
    assert status == 2, (status, err)
    assert len(err.splitlines()) == 1
    assert len(err) < 2000
    assert everything(tmp_path) == []


@pytest.mark.parametrize("given", ["network.widths=[1000000000,1000000000]", "network.init_file=/dev/zero"])
def test_what_would_fill_the_memory_is_refused_before_it_does(command, given):
    tracemalloc.start()
    status, _, _ = command(given)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert status == 2
    assert peak < 2**28


class Touch:
    """Pickled, it makes a file when it is loaded."""

    def __reduce__(self):
        return Path.touch, (Path("here"),)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.fixture
def stranger(tmp_path):
    """A run's directory that came by mail."""
    sys.modules.pop("evil", None)
    (tmp_path / "evil.py").write_text("raise SystemExit('run')")
    run = make_run(tmp_path / "theirs", {"extensions": ["evil"]})
    (run / ".hydra" / "hydra.yaml").write_text("hydra: {job: {num: 0}}")
    (run / ".hydra" / "overrides.yaml").write_text("[]")
    return run


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".hydra/config.yaml", "!!python/object/apply:os.system ['touch here']"),
        (".hydra/config.yaml", BOMB),
        (".hydra/config.yaml", f"a: {DEEP}"),
        (".hydra/config.yaml", f"lr: {MEGABYTE}"),
        (".hydra/config.yaml", "network: {_target_: os.system, name: mlp}"),
        (".hydra/config.yaml", "lr: ${oc.env:HOME}"),
        (".hydra/config.yaml", "\x00\x01"),
        (".hydra/config.yaml", "- 1"),
        ("summary.json", json.dumps({"status": {}, "step": "9", "best": 3})),
        ("summary.json", "[" * 100_000),
    ],
)
@pytest.mark.parametrize("asked", ["compare", "resume"])
def test_a_stranger_s_directory_is_refused_and_none_of_its_code_runs(command, tmp_path, stranger, asked, name, text):
    (stranger / name).write_text(text)
    before = everything(tmp_path)
    status, out, err = command(asked, "theirs")
    assert status in ((0, 2) if asked == "compare" else (2,)), err
    if status == 2:
        assert len(err.splitlines()) == 1
        assert everything(tmp_path) == before
    assert "evil" not in sys.modules
    assert "Traceback" not in out + err


def test_a_stranger_s_extensions_are_never_imported(command, stranger):
    for arguments in (["resume", "theirs"], ["compare", "theirs"], ["compare", "theirs", "--json", "-"]):
        command(*arguments)
        assert "evil" not in sys.modules


def test_a_stranger_s_checkpoint_runs_nothing(command, tmp_path, stranger):
    (stranger / "checkpoints").mkdir()
    (stranger / "checkpoints" / "last.npz").write_bytes(pickle.dumps(Touch()))
    (stranger / "summary.json").write_text(json.dumps({"status": "interrupted", "step": 3}))
    status, _, err = command("resume", "theirs")
    assert (status, len(err.splitlines())) == (2, 1)
    assert not Path("here").exists()
