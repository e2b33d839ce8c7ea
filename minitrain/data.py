"""Datasets: what is trained on, split into training and validation examples.

A dataset is a component of the group `data`: a dataclass with a `load` that gives a `Dataset`. Its `seed`
is apart from the run's, so that the runs of a sweep share one dataset.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from minitrain.autograd.primitives import Array
from minitrain.config import ConfigError, option, register
from minitrain.streams import stream


@dataclass(frozen=True)
class Dataset:
    """Examples in float64, and what they are.

    x_train: [examples, inputs], y_train: [examples] integer classes, or None where there is no target;
    x_val, y_val: the same for validation, with no rows where nothing is held out.
    """

    x_train: Array
    y_train: Array | None
    x_val: Array
    y_val: Array | None
    classes: int | None = None

    @property
    def inputs(self) -> int:
        return int(self.x_train.shape[1])

    @property
    def outputs(self) -> int:
        """How many outputs a network for it has: one per class, or one."""
        return self.classes or 1

    def describe(self) -> str:
        """How many examples, inputs and classes, in words."""
        parts = [f"{len(self.x_train):,} training and {len(self.x_val):,} validation examples", f"{self.inputs} inputs"]
        return ", ".join([*parts, f"{self.classes} classes"] if self.classes else parts)


@dataclass(frozen=True)
class Split:
    """How examples are split and scaled; each dataset has these options."""

    validation: float = option(0.2, "share of the examples held out for validation", at_least=0, below=1)
    standardize: bool = option(True, "shift and scale each input to mean 0 and deviation 1 on the training examples")
    seed: int = option(0, "which examples are held out; random datasets also their values", at_least=0)

    def split(self, x: Array, y: Array) -> Dataset:
        """Hold out a random share, and scale by what the training examples alone show."""
        order = stream(self.seed, "split").permutation(len(x))
        held_out = round(self.validation * len(x))
        if held_out >= len(x):
            raise ConfigError(
                f"data.validation={self.validation}: leaves no training example of {len(x)}; expected less"
            )
        val, train = order[:held_out], order[held_out:]
        x_train, x_val = x[train], x[val]
        if self.standardize:
            mean, deviation = x_train.mean(axis=0), x_train.std(axis=0)
            deviation[deviation == 0] = 1.0  # a constant input stays constant
            x_train, x_val = (x_train - mean) / deviation, (x_val - mean) / deviation
        return Dataset(x_train, y[train], x_val, y[val], classes=int(y.max()) + 1)


@register("data", "digits")
@dataclass(frozen=True)
class Digits(Split):
    """1,797 handwritten digits of 8 x 8 pixels (Alpaydin and Kaynak 1998), as scikit-learn bundles them.

    >>> Digits().load().describe()
    '1,438 training and 359 validation examples, 64 inputs, 10 classes'
    """

    def load(self) -> Dataset:
        with (files("minitrain") / "bundled" / "digits.npz").open("rb") as file, np.load(file) as arrays:
            return self.split(arrays["x"].astype(np.float64), arrays["y"].astype(np.int64))


@register("data", "moons")
@dataclass(frozen=True)
class Moons(Split):
    """Two interleaved half circles in the plane, with Gaussian noise.

    >>> Moons(samples=100).load().describe()
    '80 training and 20 validation examples, 2 inputs, 2 classes'
    """

    samples: int = option(500, "number of examples", at_least=2)
    noise: float = option(0.1, "standard deviation of the noise on each coordinate", at_least=0)

    def load(self) -> Dataset:
        upper = self.samples // 2
        a = np.linspace(0, np.pi, upper)
        b = np.linspace(0, np.pi, self.samples - upper)
        x = np.concatenate([np.stack([np.cos(a), np.sin(a)], 1), np.stack([1 - np.cos(b), 0.5 - np.sin(b)], 1)])
        x += stream(self.seed, "moons").normal(scale=self.noise, size=x.shape)
        return self.split(x, np.repeat([0, 1], [upper, self.samples - upper]))


@register("data", "point")
@dataclass(frozen=True)
class Point:
    """One number as the only example, without a target: for networks whose output is the loss itself.

    >>> Point(x=3.0).load().x_train
    array([[3.]])
    """

    x: float = option(3.0, "the number")

    def load(self) -> Dataset:
        return Dataset(np.array([[self.x]]), None, np.empty((0, 1)), None)
