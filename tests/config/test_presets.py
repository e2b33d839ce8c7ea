"""Config files of the user's directory: faults are reported with file and line, and nothing expands without bound."""

import os
import tracemalloc
from pathlib import Path

import pytest

GLOBAL = "# @package _global_\n"


def laughs(depth=11):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, depth)]
    return "\n".join(lines) + "\n"


def assert_one_line(outcome, *messages):
    status, out, err = outcome
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert all(message in err for message in messages), err
    assert len(err) < 1000
    assert not Path("outputs").exists()


def preset(content, group="experiments", suffix="yaml"):
    path = Path("presets", group, f"mine.{suffix}")
    path.parent.mkdir(parents=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


FAULTS = [
    (f"{GLOBAL}steps: 5\n  lr: 3\n", ", line 3, column 5: mapping values are not allowed"),
    (f"{GLOBAL}steps: 5\nsteps: 6\n", ", line 3, column 1: found duplicate key steps"),
    (f"{GLOBAL}\tlr: 3\n", ", line 2, column 1: found character that cannot start any token"),
    (f"{GLOBAL}steps: [5\n", ", line 3, column 1: did not find expected"),
    (f"{GLOBAL}lr: !!python/object/apply:os.system [ls]\n", ", line 2, column 5: could not determine a constructor"),
    (f"{GLOBAL}steps: 5\nlr: ${{\n", ", line 3, column 5: no viable alternative at input '${'"),
    (f"{GLOBAL}data:\n  noise: [1, '${{a:}}}}']\nlr: *x\n", ", line 4, column 5: found undefined alias"),
    (f"{GLOBAL}steps: 5\n".encode() + b"# gr\xf6\xdfe\n", ": byte 33 is not UTF-8; save the file in UTF-8"),
    (bytes(range(256)) * 10, ": byte 128 is not UTF-8"),
    (b"\x80\x81" * 100, ": byte 0 is not UTF-8"),
    (f"{GLOBAL}lr: \0\n", ": the config cannot be read"),
    (f"{GLOBAL}{'k' * 5_000_000}: 1\n", ": the config cannot be read (5,000,024 bytes, expected at most 262,144)"),
    (f"{GLOBAL}lr: {'[' * 3000}{']' * 3000}\n", "nest"),
    (f"{GLOBAL}{laughs()}", ": the config cannot be read (more than 10,000 values"),
    (f"{GLOBAL}lr: &a [*a]\n", ": the config cannot be read (more than 10,000 values"),
    (f"{GLOBAL}- lr\n", ": the config cannot be read (expected keys and values, such as lr: 0.1)"),
    (f"{GLOBAL}hello\n", ": the config cannot be read (expected keys and values"),
    ("steps: 5\n", ": without its first line '# @package _global_'"),
    ("# my study\nsteps: 5\n", "add the line"),
    ("", "add the line"),
    (f"{GLOBAL}extensions: [mine]\n", ": extensions: a config file imports no modules"),
]


@pytest.mark.parametrize(("content", "message"), FAULTS, ids=[message[:50] for _, message in FAULTS])
@pytest.mark.parametrize("command_line", ["experiments=mine", "-m experiments=mine seed=0,1"])
def test_fault_is_reported_with_its_file(command, content, message, command_line):
    path = preset(content)
    tracemalloc.start()
    outcome = command("--config-dir", "presets", *command_line.split())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert_one_line(outcome, f"{path}", message)
    assert peak < 2**26


@pytest.mark.parametrize("content", ["name: [sgd\n", laughs(), b"\x80", "name: sgd\nname: adam\n"])
def test_fault_of_a_preset_of_a_component(command, content):
    path = preset(content, "optimizer")
    for arguments in (["optimizer=mine"], ["--help", "optimizer=mine"], ["--cfg", "job", "optimizer=mine"]):
        assert_one_line(command("--config-dir", "presets", *arguments), f"{path}")


def test_preset_that_is_a_pipe_is_not_opened(command):
    Path("presets/optimizer").mkdir(parents=True)
    os.mkfifo("presets/optimizer/mine.yaml")
    for arguments in (["optimizer=mine"], ["--help", "optimizer=mine"]):
        assert_one_line(command("--config-dir", "presets", *arguments), "optimizer=mine: expected one of")


@pytest.mark.parametrize("group", ["experiments", "optimizer"])
def test_preset_named_yml_is_reported(command, group):
    path = preset(f"{GLOBAL}steps: 5\n", group, "yml")
    assert_one_line(
        command("--config-dir", "presets", f"{group}=mine"), f"{group}=mine: {path}: expected the extension .yaml"
    )


DEFAULTS = ["3", "[3]", "[[a]]", "[{a: {b: c}}]", "[{override /data: 3}]", "[null]", "{a: b}", "[nosuch]", "[/../../a]"]


@pytest.mark.parametrize("defaults", [*DEFAULTS, "[{override /data: nosuch}]", "[_self_, _self_]"])
def test_invalid_defaults_list_is_one_line(command, defaults):
    preset(f"{GLOBAL}defaults: {defaults}\n")
    assert_one_line(command("--config-dir", "presets", "experiments=mine"))


@pytest.mark.parametrize("value", ["3", "{sweeper: {params: 3}}", "{run: 3}", "{job: [a]}", "null", "{launcher: []}"])
def test_invalid_section_of_hydra_is_one_line(command, value):
    preset(f"{GLOBAL}hydra: {value}\n")
    outcome = command("--config-dir", "presets", "experiments=mine", "-m", "seed=0,1", "--dry-run")
    if value != "null":
        assert_one_line(outcome)


def test_valid_presets_with_aliases_are_composed(command):
    preset(f"{GLOBAL}steps: &steps 7\neval_every: *steps\nnetwork:\n  widths: &widths [8, 8]\n")
    status, out, err = command("--config-dir", "presets", "--cfg", "job", "experiments=mine")
    assert (status, err) == (0, "")
    assert "steps: 7\n" in out
    assert "eval_every: 7\n" in out
