"""The cases that are timed: small networks with their data, initial weights and optimizers, from one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from minitrain.data import Digits

Array = np.ndarray

STACKED = 64  # runs that are trained together


@dataclass(frozen=True)
class Case:
    """A network, and runs of it that differ in initial weights and learning rate.

    Attributes:
        name: One of `NAMES`.
        activation, loss, optimizer: Their names in a config.
        x, y: All examples.
        weights: [runs, *shape] for each parameter: weight and bias, layer by layer, in PyTorch's layout.
        lr: [runs].
        rows: [steps, batch], the examples of each step; None for full batches.
        widths: Inputs, hidden layers and outputs of an MLP; empty for the CNN.
        channels: Of the CNN's convolutions: kernel 3, padding 1, each followed by activation and max pooling by 2.
        steps: In one measurement.
    """

    name: str
    activation: str
    loss: str
    optimizer: str
    x: Array
    y: Array
    weights: list[Array]
    lr: Array
    rows: Array | None = None
    widths: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    steps: int = 196  # 7 epochs of digits

    @property
    def runs(self) -> int:
        return len(self.lr)

    def part(self, first: int, last: int) -> Case:
        """The same case with the runs first, ..., last - 1."""
        return replace(self, weights=[w[first:last] for w in self.weights], lr=self.lr[first:last])

    def describe(self) -> str:
        kind, sizes = ("MLP", self.widths) if self.widths else ("convolutions", self.channels)
        batch = len(self.x) if self.rows is None else self.rows.shape[1]
        words = {"silu": "SiLU", "relu": "ReLU", "mse": "MSE", "cross_entropy": "cross-entropy"}
        rule = {"sgd": "SGD", "momentum": "SGD with momentum", "adam": "Adam"}[self.optimizer]
        return (
            f"{kind} {'-'.join(map(str, sizes))}, {words[self.activation]}, {words[self.loss]}, {rule}, batch {batch}"
        )


# PyTorch's defaults of Adam; momentum has no default.
BETAS, EPS, MOMENTUM = (0.9, 0.999), 1e-8, 0.9
NAMES = ("A", "B", "C", "digits-Adam", "CNN")


def case(name: str, runs: int = 1) -> Case:
    """A case by its name; the first of several runs equals the single run."""
    rng = np.random.default_rng(0)
    if name in ("digits-Adam", "CNN"):
        return _digits(name, runs, rng)
    examples, widths, lr = {
        "A": (100, (2, 16, 16, 1), 0.1),
        "B": (64, (64, 128, 128, 10), 0.1),
        "C": (128, (784, 256, 128, 10), 0.1),
    }[name]
    x = rng.normal(size=(examples, widths[0])).astype(np.float32)
    y = np.sin(2 * x @ rng.normal(size=(widths[0], widths[-1])).astype(np.float32) / widths[0] ** 0.5)
    weights, rates = _draw_weights(_linear_shapes(widths), lr, runs, rng)
    return Case(name, "silu", "mse", "sgd", x, y, weights, rates, widths=widths)


def _digits(name: str, runs: int, rng: np.random.Generator) -> Case:
    data = Digits(validation=0.0, standardize=False).load()
    x, y = np.asarray(data.x_train[:] / 16, np.float32), np.asarray(data.y_train)
    batches = len(x) // 64
    rows = np.concatenate([rng.permutation(len(x))[: batches * 64].reshape(batches, 64) for _ in range(7)])
    if name == "CNN":
        weights, rates = _draw_weights([(8, 1, 3, 3), (16, 8, 3, 3), (10, 64)], 0.05, runs, rng)
        return Case(name, "relu", "cross_entropy", "momentum", x, y, weights, rates, rows, channels=(8, 16))
    widths = (64, 64, 32, 10)
    weights, rates = _draw_weights(_linear_shapes(widths), 0.003, runs, rng)
    return Case(name, "relu", "cross_entropy", "adam", x, y, weights, rates, rows, widths=widths)


def _linear_shapes(widths: Sequence[int]) -> list[tuple[int, ...]]:
    return [(after, before) for before, after in pairwise(widths)]


def _draw_weights(
    shapes: Sequence[tuple[int, ...]], lr: float, runs: int, rng: np.random.Generator
) -> tuple[list[Array], Array]:
    """Weights and biases uniform in ±1/√fan_in, as in PyTorch; learning rates from lr down to lr / 4."""
    parts: list[list[Array]] = []
    for _ in range(runs):
        run = []
        for shape in shapes:
            bound = 1 / np.prod(shape[1:]) ** 0.5
            run += [rng.uniform(-bound, bound, size).astype(np.float32) for size in (shape, shape[:1])]
        parts.append(run)
    return [np.stack(values) for values in zip(*parts, strict=True)], np.geomspace(lr, lr / 4, runs).astype(np.float32)
