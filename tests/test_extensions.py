"""Components in a module of the user, selected by name on the command line."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from minitrain.errors import ConfigError
from minitrain.registry import REGISTRIES, register
from minitrain.storage.summary import read_summary

MINE = """
from dataclasses import dataclass

import numpy as np

from minitrain import Parameter, Tensor, functional as F, nn, option, register
from minitrain.data import Dataset, Preprocessing
from minitrain.optim import SGDRule


@register("activation", "cube")
def cube(x):
    return x**3


class Scale(nn.Module):
    def __init__(self):
        self.factor = Parameter(1.0, "factor")

    def forward(self, x):
        return x * self.factor


@register("network", "scaled")
@dataclass(frozen=True)
class Scaled:
    width: int = option(4, "hidden units", at_least=1)

    def build(self, inputs, outputs, activation, seed):
        return nn.Sequential(
            nn.Linear(inputs, self.width, rng=seed), activation(), Scale(), nn.Linear(self.width, outputs, rng=seed + 1)
        )

    def describe(self, inputs, outputs, activation):
        return f"scaled {inputs}-{self.width}-{outputs}, {activation}"


class Squared(nn.Module):
    def forward(self, x):
        return x * x


@register("layer", "squared")
@dataclass(frozen=True)
class SquaredEntry:
    def build(self, context):
        return Squared()


@register("optimizer", "signed")
@dataclass(frozen=True)
class Signed(SGDRule):
    default_lr: float = option(0.01, "learning rate where lr is not given", at_least=0)

    def update(self, grads, state, params, lr):
        return params - grads.sign() * lr, state


@register("schedule", "halves")
@dataclass(frozen=True)
class Halves:
    every: int = option(10, "steps between halvings", at_least=1)

    def factor(self, step, steps):
        return 0.5 ** (step // self.every)


@register("loss", "cubic")
def cubic(output, target):
    hot = target[:, None] == np.arange(output.shape[-1])
    return abs(F.softmax(output) - hot.astype(output.dtype)).mean() ** 3


@register("data", "ring")
@dataclass(frozen=True)
class Ring:
    samples: int = option(40, "number of examples", at_least=2)

    def load(self):
        angle = np.linspace(0, 6, self.samples)
        x, y = np.stack([np.cos(angle), np.sin(angle)], 1), (angle > 3).astype(int)
        return Dataset(x, y, x, y, Preprocessing(inputs=2, classes=2))
"""


@pytest.fixture
def mine(tmp_path, own_components):
    """The module in the working directory."""
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path


CHOSEN = ("activation=cube", "network=scaled", "optimizer=signed", "schedule=halves", "loss=cubic", "data=ring")


def test_components_of_a_user_module_by_name(command, mine):
    status, out, err = command(
        "extensions=[mine]", *CHOSEN, "steps=20", "network.width=3", "schedule.every=5", "batch_size=8"
    )
    assert (status, err) == (0, "")
    assert "scaled 2-3-2, cube" in out
    assert "signed, lr 0.01" in out
    (directory,) = Path().glob("outputs/*/*")
    assert read_summary(directory).status == "completed"
    sys.modules.pop("mine")
    for name in ("cube", "scaled", "squared", "signed", "halves", "cubic", "ring"):
        next(table for table in REGISTRIES.values() if name in table).pop(name)
    status, _, err = command("resume", str(directory), "steps=25")
    assert status == 2  # the config of a run imports nothing: the module must be named again
    assert "data.name=ring: expected one of" in err
    status, out, _ = command("resume", str(directory), "steps=25", "extensions=[mine]")
    assert status == 0
    assert "completed 25 steps" in out


def test_extensions_of_pyproject_are_imported(command, mine):
    Path("pyproject.toml").write_text('[tool.minitrain]\nextensions = ["mine"]\n')
    status, _, _ = command("-m", "activation=cube,relu", "data=ring", "batch_size=8", "steps=5")
    assert status == 0


def test_user_layer_and_activation_in_a_list_of_layers(command, mine):
    layers = "network.layers=[{linear: 8}, cube, squared, linear]"
    status, _, err = command("extensions=[mine]", "data=ring", "network=sequential", layers, "batch_size=8", "steps=5")
    assert (status, err) == (0, "")


def test_options_of_user_components_are_validated_and_names_listed(command, mine):
    status, _, err = command("extensions=[mine]", "network=scaled", "network.width=0")
    assert status == 2
    assert "network.width=0: expected an integer at least 1" in err
    status, _, err = command("extensions=[mine]", "network=foo")
    assert "expected one of cnn, lab2, linear, mlp, scaled, sequential" in err
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "extensions=broken: ModuleNotFoundError: No module named 'broken'"),
        ("1 / 0", "extensions=broken: ZeroDivisionError: division by zero"),
        ("import minitrain\nminitrain.register('activation', 'relu')(abs)", "activation relu is already registered"),
        ("import minitrain\nminitrain.register('colour', 'red')(abs)", "unknown group colour"),
    ],
)
def test_error_in_an_extension_is_reported_on_one_line(command, mine, text, message):
    if text is not None:
        Path("broken.py").write_text(text)
    status, _, err = command("extensions=[broken]")
    sys.modules.pop("broken", None)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1


def test_extensions_named_in_a_run_directory_are_not_imported(command, mine):
    command("data=moons", "steps=5")
    (directory,) = Path().glob("outputs/*/*")
    config = directory / ".hydra" / "config.yaml"
    config.write_text(config.read_text().replace("extensions: []", "extensions: [mine]"))
    status, _, _ = command("resume", str(directory), "steps=6")
    assert status == 0
    assert "mine" not in sys.modules


def test_duplicate_registration_is_rejected():
    with pytest.raises(ConfigError, match="activation relu is already registered"):
        register("activation", "relu")(abs)


def test_example_in_the_readme(command, mine):
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    example = next(
        block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if block.startswith("# mine.py")
    )
    lines = [line for line in readme.splitlines() if line.startswith("minitrain extensions=")]
    (mine / "mine.py").write_text(example)
    assert len(lines) == 2
    for line in lines:
        status, _, err = command(*shlex.split(line)[1:], "steps=5")
        assert (status, err) == (0, "")


DATACLASS = "@register('{0}', '{1}')\n@dataclass(frozen=True)\nclass Broken:\n    {2}"
RULE = DATACLASS.format(
    "optimizer",
    "o",
    "default_lr = 0.1\n    init = lambda self, params: {{}}\n    coefficients = lambda self, step: {{}}\n    {0}",
)
BROKEN = {  # case -> group, name, code, message
    "activation that raises": (
        "activation",
        "cube",
        "@register('activation', 'cube')\ndef cube(x):\n    return x.foo()",
        "(broken.py line 7)",
    ),
    "activation without argument": (
        "activation",
        "a",
        "@register('activation', 'a')\ndef nothing():\n    return 0",
        "extensions=broken: ConfigError: register: activation a: takes (), expected (x)",
    ),
    "activation class that is not a Module": (
        "activation",
        "a",
        "@register('activation', 'a')\nclass Cube:\n    pass",
        "activation a: Cube is not a Module; register a subclass of minitrain.nn.Module, or a function",
    ),
    "activation class with an argument": (
        "activation",
        "a",
        "from minitrain import nn\n@register('activation', 'a')\nclass Cube(nn.Module):\n"
        "    def __init__(self, power): self.power = power",
        "activation a: takes (power), expected ()",
    ),
    "init with a wrong signature": (
        "init",
        "i",
        "@register('init', 'i')\ndef ones(shape):\n    return 1",
        "init i: takes (shape), expected (shape, rng)",
    ),
    "loss that is not a scalar": (
        "loss",
        "all",
        "@register('loss', 'all')\ndef whole(output, target):\n    return output",
        "a Tensor of one number",
    ),
    "loss with one argument": (
        "loss",
        "one",
        "@register('loss', 'one')\ndef one(output):\n    return output.mean()",
        "loss one: takes (output), expected (output, target)",
    ),
    "loss that is not callable": (
        "loss",
        "l",
        "register('loss', 'l')(3)",
        "loss l: a int is not callable; register a f",
    ),
    "schedule whose factor lacks an argument": (
        "schedule",
        "s",
        DATACLASS.format("schedule", "s", "factor = lambda self, step: 1.0"),
        "factor takes (step), expected (step, steps)",
    ),
    "schedule without factor": (
        "schedule",
        "s",
        DATACLASS.format("schedule", "s", "pass"),
        "schedule s: has no method factor(self, step, steps); add it",
    ),
    "network without build": (
        "network",
        "n",
        DATACLASS.format("network", "n", "pass"),
        "has no method build(self, inputs, outputs, activation, seed); add it",
    ),
    "network without describe": (
        "network",
        "n",
        DATACLASS.format("network", "n", "def build(self, inputs, outputs, activation, seed): ..."),
        "network n: has no method describe(self, inputs, outputs, activation); add it",
    ),
    "data without load": (
        "data",
        "d",
        DATACLASS.format("data", "d", "pass"),
        "data d: has no method load(self); add it",
    ),
    "data that is not a Dataset": (
        "data",
        "d",
        DATACLASS.format("data", "d", "load = lambda self: 3"),
        "'int' object has no attribute",
    ),
    "layer without build": (
        "network",
        "n",
        DATACLASS.format("layer", "n", "pass"),
        "layer n: has no method build(self, context); add it",
    ),
    "optimizer without default_lr": (
        "optimizer",
        "o",
        DATACLASS.format("optimizer", "o", "pass"),
        "optimizer o: has no default_lr; add it",
    ),
    "optimizer without update": (
        "optimizer",
        "o",
        RULE.format("pass"),
        "optimizer o: has no method update(self, grads, state, params, lr, **coefficients); add it",
    ),
    "optimizer whose update lacks an argument": (
        "optimizer",
        "o",
        RULE.format("def update(self, grads, state, params): ..."),
        "optimizer o: update takes (grads, state, params), expected (grads, state, params, lr)",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_invalid_component_is_reported_before_anything_is_written(command, mine, case):
    group, name, text, message = BROKEN[case]
    Path("broken.py").write_text("from dataclasses import dataclass\nfrom minitrain import register\n\n\n" + text)
    status, _, err = command("extensions=[broken]", f"{group}={name}")
    sys.modules.pop("broken", None)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("raise ValueError('no')", "ValueError: no (broken.py line 6)\n"),
        ("return (output - target).mean()", "ValueError: subtract: shapes [64, 10], [64] cannot be broadcast"),
        ("return output.foo()", "AttributeError: "),
    ],
)
def test_error_of_a_component_names_its_line_wherever_the_extension_is_named(command, mine, line, message):
    text = f"from minitrain import register\n\n\n@register('loss', 'own')\ndef own(output, target):\n    {line}\n"
    Path("broken.py").write_text(text)
    results = [command("extensions=[broken]", "loss=own")]
    Path("pyproject.toml").write_text('[tool.minitrain]\nextensions = ["broken"]\n')
    results.append(command("loss=own"))
    sys.modules.pop("broken", None)
    assert results[0] == results[1]
    status, _, err = results[0]
    assert (status, len(err.splitlines())) == (2, 1)
    assert err.startswith("minitrain: a component of extensions: ")
    assert message in err
    assert "(broken.py line 6)" in err


def test_component_that_is_not_a_dataclass_is_rejected(command, mine):
    Path("broken.py").write_text("import minitrain\n@minitrain.register('network', 'n')\nclass N:\n    width = 3\n")
    status, _, err = command("extensions=[broken]")
    assert status == 2
    assert "network n: expected a dataclass" in err
    status, _, err = command("extensions=[broken.py]")
    assert status == 2
    assert "without .py: extensions=[broken]" in err


PYPROJECTS = {
    "not UTF-8": (b"[tool.minitrain]\n\xff", "cannot be read"),
    "not TOML": (b"[tool.minitrain]\nextensions = [", "cannot be read"),
    "a number": (b"[tool.minitrain]\nextensions = 3", "expected a list of modules"),
    "a string": (b'[tool.minitrain]\nextensions = "json"', "expected a list of modules"),
    "numbers": (b"[tool.minitrain]\nextensions = [1]", "expected a list of modules"),
}


@pytest.mark.parametrize("name", PYPROJECTS)
def test_invalid_pyproject_is_reported(command, name):
    content, message = PYPROJECTS[name]
    Path("pyproject.toml").write_bytes(content)
    status, _, err = command("--cfg", "job")
    assert (status, len(err.splitlines())) == (2, 1)
    assert message in err


def test_pyproject_without_minitrain_table_is_ignored(command):
    Path("pyproject.toml").write_bytes(b"\xff # not UTF-8")
    assert command("--cfg", "job")[0] == 0
    Path("pyproject.toml").write_bytes(b"# see [tool.minitrain]")
    assert command("--cfg", "job")[0] == 0


def test_file_with_the_name_of_a_library_is_not_imported(tmp_path):
    (tmp_path / "yaml.py").write_text("raise SystemExit('imported')")
    console = Path(sys.executable).with_name("minitrain")
    process = subprocess.run([console, "--cfg", "job"], cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr
