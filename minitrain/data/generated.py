"""Datasets that are generated from a formula: classes, functions of one variable, and a single point."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from minitrain.data.dataset import Dataset
from minitrain.data.preprocessing import Preprocessing
from minitrain.data.splitting import RegressionSplitOptions, SplitOptions
from minitrain.errors import ConfigError
from minitrain.options import option
from minitrain.registry import register
from minitrain.rng import generator
from minitrain.typing import Array


def _on_circle(angle: Array) -> Array:
    """Points on the unit circle: [n] -> [n, 2]."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _even_angles(count: int) -> Array:
    """Angles at even distances around the circle: -> [count]."""
    return 2 * np.pi * np.arange(count) / count


def _as_generated(data: Dataset) -> Dataset:
    return replace(data, is_generated=True)


@register("data", "moons")
@dataclass(frozen=True)
class Moons(SplitOptions):
    """Two interleaved half circles in the plane with Gaussian noise.

    >>> Moons(samples=100).load().describe()
    '80 training and 20 validation examples, 2 inputs, 2 classes'
    """

    samples: int = option(500, "number of examples", at_least=2, at_most=10**9)
    noise: float = option(0.1, "standard deviation of the noise on each coordinate", at_least=0)

    def load(self) -> Dataset:
        """Generate the examples."""
        upper = self.samples // 2
        upper_angle = np.linspace(0, np.pi, upper)
        lower_angle = np.linspace(0, np.pi, self.samples - upper)
        lower_moon = np.stack([1 - np.cos(lower_angle), 0.5 - np.sin(lower_angle)], 1)
        x = np.concatenate([_on_circle(upper_angle), lower_moon])
        x += generator(self.seed, "moons").normal(scale=self.noise, size=x.shape)
        return _as_generated(self.split(x, np.repeat([0, 1], [upper, self.samples - upper])))


@register("data", "circles")
@dataclass(frozen=True)
class Circles(SplitOptions):
    """A circle (class 1) inside the unit circle (class 0) with Gaussian noise.

    >>> Circles(samples=100).load().describe()
    '80 training and 20 validation examples, 2 inputs, 2 classes'
    """

    samples: int = option(500, "number of examples", at_least=2, at_most=10**9)
    factor: float = option(0.5, "radius of the inner circle", above=0, below=1)
    noise: float = option(0.1, "standard deviation of the noise on each coordinate", at_least=0)

    def load(self) -> Dataset:
        """Generate the examples."""
        outer = self.samples // 2
        inner = self.samples - outer
        x = np.concatenate([_on_circle(_even_angles(outer)), self.factor * _on_circle(_even_angles(inner))])
        x += generator(self.seed, "circles").normal(scale=self.noise, size=x.shape)
        return _as_generated(self.split(x, np.repeat([0, 1], [outer, inner])))


@register("data", "blobs")
@dataclass(frozen=True)
class Blobs(SplitOptions):
    """Isotropic Gaussian clusters, one per class, with random centers in the cube [-10, 10]^features.

    >>> Blobs(samples=100, centers=4, features=3).load().describe()
    '80 training and 20 validation examples, 3 inputs, 4 classes'
    """

    samples: int = option(500, "number of examples", at_least=2, at_most=10**9)
    centers: int = option(3, "number of clusters and classes", at_least=2)
    spread: float = option(1.0, "standard deviation of each cluster", at_least=0)
    features: int = option(2, "number of inputs", at_least=1, at_most=10**6)

    def load(self) -> Dataset:
        """Generate the examples."""
        if self.centers > self.samples:
            raise ConfigError(
                f"data.centers={self.centers}: expected at most data.samples={self.samples}, one example per class"
            )
        random = generator(self.seed, "blobs")
        centers = random.uniform(-10, 10, size=(self.centers, self.features))
        y = np.arange(self.samples) % self.centers
        x = centers[y] + random.normal(scale=self.spread, size=(self.samples, self.features))
        return _as_generated(self.split(x, y))


@register("data", "spirals")
@dataclass(frozen=True)
class Spirals(SplitOptions):
    """Archimedean spirals from the origin to the unit circle, one per class, with Gaussian noise.

    >>> Spirals(samples=100, arms=3).load().describe()
    '80 training and 20 validation examples, 2 inputs, 3 classes'
    """

    samples: int = option(500, "number of examples", at_least=2, at_most=10**9)
    arms: int = option(2, "number of spirals and classes", at_least=2)
    turns: float = option(1.5, "number of turns of each spiral around the origin", above=0)
    noise: float = option(0.02, "standard deviation of the noise on each coordinate", at_least=0)

    def load(self) -> Dataset:
        """Generate the examples."""
        if self.arms > self.samples:
            raise ConfigError(
                f"data.arms={self.arms}: expected at most data.samples={self.samples}, one example per class"
            )
        y = np.arange(self.samples) % self.arms
        position = np.arange(self.samples) // self.arms + 1
        radius = position / position[-1]
        x = radius[:, None] * _on_circle(2 * np.pi * (self.turns * radius + y / self.arms))
        return _as_generated(self.split(x + generator(self.seed, "spirals").normal(scale=self.noise, size=x.shape), y))


@register("data", "xor")
@dataclass(frozen=True)
class Xor(SplitOptions):
    """The corners (±1, ±1) of a square with Gaussian noise; class 1 if the signs of the corner differ.

    >>> data = Xor(samples=4, noise=0.0, validation=0.0).load()
    >>> bool((data.y_train == (data.x_train.prod(axis=1) < 0)).all())
    True
    """

    samples: int = option(500, "number of examples", at_least=2, at_most=10**9)
    noise: float = option(0.3, "standard deviation of the noise on each coordinate", at_least=0)

    def load(self) -> Dataset:
        """Generate the examples."""
        corners = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
        corner = np.arange(self.samples) % 4
        x = corners[corner] + generator(self.seed, "xor").normal(scale=self.noise, size=(self.samples, 2))
        return _as_generated(self.split(x, corner % 2))


@register("data", "modular_addition")
@dataclass(frozen=True)
class ModularAddition(SplitOptions):
    """All pairs (a, b) of the numbers 0 ... p - 1, encoded one-hot as 2p inputs; the class is (a + b) mod p.

    References:
        Power et al. 2022, "Grokking"; Gromov 2023, "Grokking modular arithmetic" (one-hot pairs).

    >>> data = ModularAddition(p=5, validation=0.2).load()
    >>> data.describe()
    '20 training and 5 validation examples, 10 inputs, 5 classes'
    >>> bool(((data.x_train.reshape(-1, 2, 5).argmax(axis=2).sum(axis=1) % 5) == data.y_train).all())
    True
    """

    p: int = option(31, "modulus; the dataset has p^2 examples", at_least=2, at_most=10**4)
    validation: float = option(0.5, "fraction of the pairs held out for validation", at_least=0, below=1)
    standardize: bool = option(False, "scale inputs to zero mean and unit variance on the training examples")

    def load(self) -> Dataset:
        """Generate the examples."""
        a, b = np.divmod(np.arange(self.p**2), self.p)
        one_hot = np.eye(self.p)
        return _as_generated(self.split(np.concatenate([one_hot[a], one_hot[b]], axis=1), (a + b) % self.p))


@register("data", "sine")
@dataclass(frozen=True)
class Sine(RegressionSplitOptions):
    """y = sin(frequency x) with Gaussian noise on y, for evenly spaced x in [-extent, extent].

    >>> Sine(samples=100).load().describe()
    '80 training and 20 validation examples, 1 input, 1 number to predict'
    """

    samples: int = option(500, "number of examples", at_least=2, at_most=10**9)
    frequency: float = option(6.0, "angular frequency, in radians per unit of x", above=0)
    extent: float = option(1.0, "x ranges from -extent to extent", above=0)
    noise: float = option(0.1, "standard deviation of the noise on y", at_least=0)

    def load(self) -> Dataset:
        """Generate the examples."""
        x = np.linspace(-self.extent, self.extent, self.samples)
        y = np.sin(self.frequency * x) + generator(self.seed, "sine").normal(scale=self.noise, size=self.samples)
        return _as_generated(self.split(x[:, None], y))


@register("data", "polynomials")
@dataclass(frozen=True)
class Polynomials(RegressionSplitOptions):
    """The Chebyshev polynomial y = cos(degree arccos x) on [-1, 1], with Gaussian noise on y.

    x are the Chebyshev points cos((k - 1/2) π / samples), k = 1 ... samples, which are denser towards the ends, or
    uniform random numbers.

    >>> data = Polynomials(degree=2, standardize=False, standardize_target=False).load()
    >>> bool(np.allclose(data.y_train, 2 * data.x_train**2 - 1))
    True
    """

    samples: int = option(200, "number of examples", at_least=2, at_most=10**9)
    degree: int = option(5, "degree of the polynomial", at_least=1)
    points: str = option("chebyshev", "how x is chosen", choices=("chebyshev", "random"))
    noise: float = option(0.0, "standard deviation of the noise on y", at_least=0)

    def load(self) -> Dataset:
        """Generate the examples."""
        random = generator(self.seed, "polynomials")
        if self.points == "chebyshev":
            x = np.cos((np.arange(self.samples) + 0.5) * np.pi / self.samples)
        else:
            x = random.uniform(-1, 1, size=self.samples)
        y = np.cos(self.degree * np.arccos(x)) + random.normal(scale=self.noise, size=self.samples)
        return _as_generated(self.split(x[:, None], y))


@register("data", "point")
@dataclass(frozen=True)
class Point:
    """A single example of one number without a target, for networks whose output is the loss (`loss=output`).

    >>> Point(x=3.0).load().x_train
    array([[3.]])
    """

    x: float = option(3.0, "value of the input")

    def load(self) -> Dataset:
        """Generate the examples."""
        return Dataset(np.array([[self.x]]), None, np.empty((0, 1)), None, Preprocessing(inputs=1), is_generated=True)
