"""Steps that cannot be compiled are reported in one line, with file, line and advice, before anything is written."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from minitrain.components.networks import MLPConfig
from minitrain.config.schema import RunConfig
from minitrain.data import Moons
from minitrain.optim import SGDRule
from minitrain.optim.schedules import Constant
from minitrain.registry import REGISTRIES
from minitrain.training.experiment import build_experiment

BASE = RunConfig(Moons(samples=48), MLPConfig([4]), SGDRule(), Constant(), lr=0.1, batch_size=16, steps=5)
HEAD = """\
from dataclasses import dataclass
import random
import numpy as np
from minitrain import Tensor, functional as F, nn, option, register
from minitrain.nn.module import Buffer
"""
FUNCTION = """
@register("activation", "mine")
def mine(x):
    return {}  # here
"""
LAYER = """
@register("activation", "mine")
class Mine(nn.Module):
    def __init__(self):
        self.rng, self.calls, self.table = np.random.default_rng(0), 0, np.ones(1)
        self.seen = Buffer(0.0, "seen")

    def forward(self, x):
        {}
        return {}
"""
LOSS = """
@register("loss", "mine")
def mine(output, target):
    return {}  # here
"""
RULE = """
@register("optimizer", "mine")
@dataclass(frozen=True)
class Mine:
    default_lr: float = option(0.1, "learning rate")
    init = lambda self, params: {{}}
    coefficients = lambda self, step: {{}}
    def update(self, grads, state, params, lr):
        return params - {} * lr, {}  # here
"""
COMPILE_ERRORS = {
    "if": (FUNCTION, ("x if x.mean() > 0 else -x",), "an `if`, at mine.py line HERE"),
    "float": (FUNCTION, ("x * float(x.max())",), "float() at mine.py line HERE"),
    "item": (FUNCTION, ("x * x.max().item()",), ".item() at mine.py line HERE"),
    "numpy": (FUNCTION, ("Tensor(np.abs(x.numpy()))",), ".numpy() at mine.py line HERE"),
    "data": (FUNCTION, ("Tensor(abs(x.data))",), ".data at mine.py line HERE"),
    "random": (FUNCTION, ("x if random.random() < 1e-9 else -x",), "the numbers of `random` or `np.random`"),
    "np.random": (FUNCTION, ("x if np.random.random() < 1e-9 else -x",), "the numbers of `random` or `np.random`"),
    "other generator": (
        FUNCTION,
        ("x + np.random.default_rng().random(x.shape)",),
        "used at mine.py line HERE changes",
    ),
    "if in evaluation": (
        LAYER,
        ("", "x if self.training or x.max() > 0 else -x  # here"),
        "an `if`, at mine.py line HERE",
    ),
    "rng, one number": (LAYER, ("", "x * self.rng.random()  # here"), "rng.random at mine.py line HERE gives a float"),
    "rng, in place": (
        LAYER,
        ("self.rng.shuffle(self.table)  # here", "x"),
        "rng.shuffle at mine.py line HERE gives a NoneType",
    ),
    "counter": (
        LAYER,
        ("self.calls += 1", "x * self.calls  # here"),
        "used at mine.py line HERE changes from step to step",
    ),
    "array": (
        LAYER,
        ("self.table += 1", "x * self.table  # here"),
        "used at mine.py line HERE changes from step to step",
    ),
    "buffer's array": (LAYER, ("self.seen.data += 1  # here", "x * self.seen.detach()"), ".data at mine.py line HERE"),
    "np.eye": (LOSS, ("((output - np.eye(2)[target]) ** 2).mean()",), "an array of it at mine.py line HERE"),
    "bincount": (
        LOSS,
        ("(output**2).mean() * np.bincount(target.numpy())[0]",),
        ".numpy() at mine.py line HERE",
    ),
    "int": (LOSS, ("-F.log_softmax(output)[0, int(target[0])]",), "int() at mine.py line HERE"),
    "if on gradients": (RULE, ("(grads if grads.sum() > 0 else -grads)", "state"), "an `if`, at mine.py line HERE"),
}


def write_component(text, parts, message):
    """Write mine.py; returns the group of its component, and the message with the number of the marked line."""
    lines = (HEAD + text.format(*parts)).splitlines()
    Path("mine.py").write_text("\n".join(lines))
    (marked,) = (number for number, line in enumerate(lines, 1) if "# here" in line)
    return re.search(r'register\("(\w+)"', text)[1], message.replace("HERE", str(marked))


@pytest.mark.parametrize(("text", "parts", "message"), COMPILE_ERRORS.values(), ids=COMPILE_ERRORS)
def test_steps_that_cannot_be_compiled(command, own_components, text, parts, message):
    group, message = write_component(text, parts, message)
    status, _, err = command("extensions=[mine]", f"{group}=mine", "data=moons", "network.widths=[4]", "steps=5")
    assert status == 2
    assert err.startswith("minitrain: engine=numpy: ")
    assert message in err
    assert err.endswith("or set engine=eager\n")
    assert err.count("\n") == 1
    assert not Path("outputs").exists()
    build_experiment(
        replace(BASE, engine="eager", **{group: REGISTRIES["optimizer"]["mine"]() if text is RULE else "mine"})
    )


ERRORS_OF_ALL_ENGINES = {
    "a NumPy function": (FUNCTION, ("np.maximum(x, 0)",), "line HERE); functions of minitrain.functional take Tensors"),
    "np.where": (FUNCTION, ("np.where(x > 0, x, 0)",), "np.where: takes arrays, where gradients end; use minitrain."),
    "inside NumPy": (FUNCTION, ("x - np.mean(x)",), "(mine.py line HERE)"),
    "on a target": (LOSS, ("(output - np.equal(target, 1)).mean()",), "line HERE); functions of minitrain.functional"),
    "state not in init": (RULE, ("grads", "{'seen': grads}"), "update returns the state seen, and init nothing"),
}


@pytest.mark.parametrize("engine", ["numpy", "eager"])
@pytest.mark.parametrize(("text", "parts", "message"), ERRORS_OF_ALL_ENGINES.values(), ids=ERRORS_OF_ALL_ENGINES)
def test_errors_of_all_engines_are_reported_alike(command, own_components, text, parts, message, engine):
    group, message = write_component(text, parts, message)
    status, _, err = command("extensions=[mine]", f"{group}=mine", "data=moons", f"engine={engine}")
    assert status == 2
    assert message in err
    assert err.count("\n") == 1
    assert not Path("outputs").exists()
