"""Datasets made by a formula: classes in the plane and in more dimensions, functions of one number, a point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minitrain.data.dataset import Dataset, RegressionSplit, Split
from minitrain.errors import ConfigError
from minitrain.options import option
from minitrain.registry import register
from minitrain.rng import generator
from minitrain.typing import Array


def _on_circle(angle: Array) -> Array:
    """Points on the unit circle: [n] -> [n, 2]."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _turned(count: int) -> Array:
    """Angles that part a whole turn evenly: -> [count]."""
    return 2 * np.pi * np.arange(count) / count


@register("data", "moons")
@dataclass(frozen=True)
class Moons(Split):
    """Two interleaved half circles in the plane, with Gaussian noise.

    >>> Moons(samples=100).load().describe()
    '80 training and 20 validation examples, 2 inputs, 2 classes'
    """

    samples: int = option(500, "number of examples", at_least=2, at_most=10**9)
    noise: float = option(0.1, "standard deviation of the noise on each coordinate", at_least=0)

    def load(self) -> Dataset:
        upper = self.samples // 2
        a = np.linspace(0, np.pi, upper)
        b = np.linspace(0, np.pi, self.samples - upper)
        x = np.concatenate([_on_circle(a), np.stack([1 - np.cos(b), 0.5 - np.sin(b)], 1)])
        x += generator(self.seed, "moons").normal(scale=self.noise, size=x.shape)
        return self.split(x, np.repeat([0, 1], [upper, self.samples - upper]))


@register("data", "circles")
@dataclass(frozen=True)
class Circles(Split):
    """A circle (class 1) within the unit circle (class 0), with Gaussian noise.

    >>> Circles(samples=100).load().describe()
    '80 training and 20 validation examples, 2 inputs, 2 classes'
    """

    samples: int = option(500, "number of examples", at_least=2, at_most=10**9)
    factor: float = option(0.5, "radius of the inner circle", above=0, below=1)
    noise: float = option(0.1, "standard deviation of the noise on each coordinate", at_least=0)

    def load(self) -> Dataset:
        outer = self.samples // 2
        inner = self.samples - outer
        x = np.concatenate([_on_circle(_turned(outer)), self.factor * _on_circle(_turned(inner))])
        x += generator(self.seed, "circles").normal(scale=self.noise, size=x.shape)
        return self.split(x, np.repeat([0, 1], [outer, inner]))


@register("data", "blobs")
@dataclass(frozen=True)
class Blobs(Split):
    """Gaussian clouds of equal spread, one per class, around random centers in the cube [-10, 10]^features.

    >>> Blobs(samples=100, centers=4, features=3).load().describe()
    '80 training and 20 validation examples, 3 inputs, 4 classes'
    """

    samples: int = option(500, "number of examples", at_least=2, at_most=10**9)
    centers: int = option(3, "number of clouds", at_least=2)
    spread: float = option(1.0, "standard deviation of each cloud", at_least=0)
    features: int = option(2, "number of inputs", at_least=1, at_most=10**6)

    def load(self) -> Dataset:
        if self.centers > self.samples:
            raise ConfigError(f"data.centers={self.centers}: expected at most {self.samples}, one of data.samples each")
        random = generator(self.seed, "blobs")
        centers = random.uniform(-10, 10, size=(self.centers, self.features))
        y = np.arange(self.samples) % self.centers
        return self.split(centers[y] + random.normal(scale=self.spread, size=(self.samples, self.features)), y)


@register("data", "spirals")
@dataclass(frozen=True)
class Spirals(Split):
    """Archimedean spirals from the origin to the unit circle, turned evenly against each other, with Gaussian noise.

    >>> Spirals(samples=100, arms=3).load().describe()
    '80 training and 20 validation examples, 2 inputs, 3 classes'
    """

    samples: int = option(500, "number of examples", at_least=2, at_most=10**9)
    arms: int = option(2, "number of spirals", at_least=2)
    turns: float = option(1.5, "turns of a spiral around the origin", above=0)
    noise: float = option(0.02, "standard deviation of the noise on each coordinate", at_least=0)

    def load(self) -> Dataset:
        if self.arms > self.samples:
            raise ConfigError(f"data.arms={self.arms}: expected at most {self.samples}, one of data.samples each")
        y = np.arange(self.samples) % self.arms
        along = np.arange(self.samples) // self.arms + 1
        radius = along / along[-1]
        x = radius[:, None] * _on_circle(2 * np.pi * (self.turns * radius + y / self.arms))
        return self.split(x + generator(self.seed, "spirals").normal(scale=self.noise, size=x.shape), y)


@register("data", "xor")
@dataclass(frozen=True)
class Xor(Split):
    """The corners (±1, ±1) of a square with Gaussian noise: class 1 where the signs of the corner differ.

    >>> data = Xor(samples=4, noise=0.0, validation=0.0).load()
    >>> bool((data.y_train == (data.x_train.prod(axis=1) < 0)).all())
    True
    """

    samples: int = option(500, "number of examples", at_least=2, at_most=10**9)
    noise: float = option(0.3, "standard deviation of the noise on each coordinate", at_least=0)

    def load(self) -> Dataset:
        corners = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
        corner = np.arange(self.samples) % 4
        x = corners[corner] + generator(self.seed, "xor").normal(scale=self.noise, size=(self.samples, 2))
        return self.split(x, corner % 2)


@register("data", "modular_addition")
@dataclass(frozen=True)
class ModularAddition(Split):
    """All pairs (a, b) of the numbers 0 ... p - 1, each as one-hot [a, b]: 2p inputs; the class is (a + b) mod p.

    From a share of the table, what are the other sums? (Power et al. 2022, "Grokking"; Gromov 2023 with one-hot pairs)

    >>> data = ModularAddition(p=5, validation=0.2).load()
    >>> data.describe()
    '20 training and 5 validation examples, 10 inputs, 5 classes'
    >>> bool(((data.x_train.reshape(-1, 2, 5).argmax(axis=2).sum(axis=1) % 5) == data.y_train).all())
    True
    """

    p: int = option(31, "the modulus; there are p^2 examples", at_least=2, at_most=10**4)
    validation: float = option(0.5, "share of the pairs held out for validation", at_least=0, below=1)
    standardize: bool = option(False, "shift and scale each input to mean 0 and deviation 1 on the training examples")

    def load(self) -> Dataset:
        a, b = np.divmod(np.arange(self.p**2), self.p)
        one_hot = np.eye(self.p)
        return self.split(np.concatenate([one_hot[a], one_hot[b]], axis=1), (a + b) % self.p)


@register("data", "sine")
@dataclass(frozen=True)
class Sine(RegressionSplit):
    """y = sin(frequency x) with Gaussian noise on y, at evenly spaced x in [-extent, extent].

    >>> Sine(samples=100).load().describe()
    '80 training and 20 validation examples, 1 input, 1 number to predict'
    """

    samples: int = option(500, "number of examples", at_least=2, at_most=10**9)
    frequency: float = option(6.0, "radians per unit of x", above=0)
    extent: float = option(1.0, "x goes from -extent to extent", above=0)
    noise: float = option(0.1, "standard deviation of the noise on y", at_least=0)

    def load(self) -> Dataset:
        x = np.linspace(-self.extent, self.extent, self.samples)
        y = np.sin(self.frequency * x) + generator(self.seed, "sine").normal(scale=self.noise, size=self.samples)
        return self.split(x[:, None], y)


@register("data", "polynomials")
@dataclass(frozen=True)
class Polynomials(RegressionSplit):
    """The Chebyshev polynomial y = cos(degree arccos x) on [-1, 1], with Gaussian noise on y.

    It is taken at the Chebyshev points cos((k - 1/2) π / samples), k = 1 ... samples, which are denser towards the
    ends, or at random x.

    >>> data = Polynomials(degree=2, standardize=False, standardize_target=False).load()
    >>> bool(np.allclose(data.y_train, 2 * data.x_train**2 - 1))
    True
    """

    samples: int = option(200, "number of examples", at_least=2, at_most=10**9)
    degree: int = option(5, "degree of the polynomial", at_least=1)
    points: str = option("chebyshev", "where it is taken", choices=("chebyshev", "random"))
    noise: float = option(0.0, "standard deviation of the noise on y", at_least=0)

    def load(self) -> Dataset:
        random = generator(self.seed, "polynomials")
        if self.points == "chebyshev":
            x = np.cos((np.arange(self.samples) + 0.5) * np.pi / self.samples)
        else:
            x = random.uniform(-1, 1, size=self.samples)
        y = np.cos(self.degree * np.arccos(x)) + random.normal(scale=self.noise, size=self.samples)
        return self.split(x[:, None], y)


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
