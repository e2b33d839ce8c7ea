"""The main help, and the help of each command."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from command_runs import FAST

from minitrain.commands.command_line import CHECKPOINTS, COMMANDS, TRAIN
from minitrain.commands.help import DEFAULT_CHOICES
from minitrain.config.composition import Composer
from minitrain.config.schema import GROUPS, RunConfig
from minitrain.inference import model
from minitrain.options import options
from minitrain.registry import REGISTRIES

CUBE = """
from dataclasses import dataclass
from minitrain import option, register

register("activation", "cube")(lambda x: x**3)

@register("schedule", "halves")
@dataclass(frozen=True)
class Halves:
    "Half the rate after each of a number of steps."
    every: int = option(100, "steps between halvings", at_least=1)
    def factor(self, step, steps):
        return 0.5 ** (step // self.every)
"""


def test_main_help_shows_groups_choices_keys_and_examples(command):
    status, out, err = command("--help")
    assert (status, err) == (0, "")
    words = " ".join(out.split())
    for part in (
        "digits, idx, images, iris, modular_addition, moons",
        "cnn, lab2, linear, mlp, sequential",
        *REGISTRIES["optimizer"],
        *REGISTRIES["schedule"],
        "activations, depth_init",
        "hidden layer; one of elu, gelu",
        *(f"{key}=" for key in options(RunConfig)),
    ):
        assert part in words
    assert out.count("  minitrain ") >= 8
    assert all(f"\n  {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("arguments", [["-h"], ["help"], ["-m", "--help"], ["lr=0.1", "-h"]], ids=" ".join)
def test_every_way_to_ask_for_the_main_help_prints_it(command, arguments):
    assert command(*arguments) == command("--help")


@pytest.mark.parametrize("group", GROUPS)
def test_main_help_shows_every_key_of_the_chosen_components(command, group):
    for name, component in REGISTRIES[group].items():
        status, out, _ = command("--help", f"{group}={name}")
        assert status == 0
        assert f"Keys of {group}={name}:" in out
        words = " ".join(out.split())
        for key, option in options(component).items():
            assert f"{group}.{key}=" in out
            assert f"{option.range.help}; {option.expected}" in words
        for other, default in DEFAULT_CHOICES.items():
            assert other == group or f"Keys of {other}={default}:" in out


def test_main_help_assumes_the_choices_of_the_config():
    choices = Composer().compose([]).hydra.runtime.choices
    assert {group: choices[group] for group in GROUPS} == DEFAULT_CHOICES


def test_main_help_shows_the_default_learning_rate_of_the_optimizer(command):
    assert "\n  lr=0.3 " in command("--help")[1]
    assert "\n  lr=0.003 " in command("--help", "optimizer=adam")[1]


@pytest.mark.parametrize("source", ["command line", "pyproject.toml"])
def test_main_help_shows_components_of_extensions(command, own_components, source):
    Path("mine.py").write_text(CUBE)
    if source == "pyproject.toml":
        Path(source).write_text('[tool.minitrain]\nextensions = ["mine"]\n')
    named = ["extensions=[mine]"] if source == "command line" else []
    status, out, err = command("--help", *named, "schedule=halves")
    assert (status, err) == (0, "")
    words = " ".join(out.split())
    assert "cosine, exponential, halves," in words
    assert "one of cube, elu" in words
    assert "schedule.every=100 steps between halvings; an integer at least 1" in words


def test_main_help_shows_presets_of_the_config_dir(command):
    Path("mine/network").mkdir(parents=True)
    Path("mine/network/tiny.yaml").write_text("name: mlp\nwidths: [3]\n")
    _, out, _ = command("--help", "--config-dir", "mine", "network=tiny")
    assert "cnn, lab2, linear, mlp, sequential, tiny" in out
    assert "network.widths=[3]" in out


@pytest.mark.parametrize("width", [80, 100, 200])
def test_help_fits_into_the_terminal(command, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    texts = [command("--help", "data=csv")[1], *(command(name, "--help")[1] for name in COMMANDS)]
    longest = max((line for text in texts for line in text.splitlines() if "minitrain " not in line), key=len)
    assert len(longest) <= min(100, width)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(command, name):
    status, out, err = command(name, "--help")
    assert (status, err) == (0, "")
    assert (status, out, err) == command("help", name) == command(name, "-h", "lr=3")
    assert out.startswith(f"Usage: minitrain {name} ")
    for action in COMMANDS[name].parser().arguments():
        assert action.help
        assert (action.option_strings or [str(action.metavar)])[-1] in out
    for heading in ("\nOptions:\n", "\nExamples:\n  minitrain ", "\nExit status:\n  0  "):
        assert heading in out


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_every_command_has_a_module_with_main(name):
    assert callable(import_module(COMMANDS.get(name, TRAIN).module).main)


def test_checkpoints_of_the_parsers_are_those_of_models():
    assert set(CHECKPOINTS) == set(model.CHECKPOINTS)


def loaded_modules(directory, *arguments):
    report = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "minitrain", *arguments],
        capture_output=True, text=True, check=True, cwd=directory,
    ).stderr  # fmt: skip
    return {line.rpartition("|")[2].strip() for line in report.splitlines()}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["help", "compare"],
        ["predict", "--help"],
        ["completion", "--complete", "bash", "optimizer", "=", ""],
    ],
    ids=" ".join,
)
def test_help_and_completion_load_neither_hydra_nor_matplotlib(tmp_path, arguments):
    packages = {name.partition(".")[0] for name in loaded_modules(tmp_path, *arguments)}
    assert "numpy" in packages
    assert not packages & {"hydra", "omegaconf", "matplotlib", "scipy", "sklearn", "tqdm"}


def test_a_run_loads_no_other_command(tmp_path):
    loaded = {name for name in loaded_modules(tmp_path, *FAST) if name.startswith("minitrain.commands.")}
    assert not loaded & {f"minitrain.commands.{name}" for name in ("sweep", "candidates", *COMMANDS)}
