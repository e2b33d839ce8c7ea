"""Diagnostics that `metrics=` adds to a run's evaluations: the table, and the largest eigenvalue of a matrix.

Each is a column of metrics.csv, or a column for each parameter or activation layer: `layer_grad_norm/0.weight`. All but
sharpness are about one step: the network before it, in training mode, and the batch that it takes, with the very
random numbers that it draws. Sharpness is about the loss of all training examples, l2 penalty included, in evaluation
mode. Values have the run's dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minitrain.autograd import functional as F
from minitrain.autograd.tensor import Tensor
from minitrain.registry import Registry, register
from minitrain.typing import Array


@dataclass(frozen=True)
class Observed:
    """What a step computes on its way.

    params, updated: the parameters that are trained, before the step and after it: [n]
    frozen: the others
    gradient: of what training makes small, l2 penalty included, before clipping: [n]
    gradients: parameter -> its part of the gradient, in its shape
    outputs: activation layer -> what it gave last: [batch, units], or [batch, channels, ...]
    output, target: what the network gave, and what was to come, if the data tells: [batch, ...]
    """

    params: Tensor
    updated: Tensor
    frozen: list[Tensor]
    gradient: Tensor
    gradients: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    output: Tensor
    target: Tensor | None

    def parts(self, of: str) -> Mapping[str, Any]:
        """What the diagnostics of a kind are functions of, by the name in the column."""
        layers = {"parameter": self.gradients, "activation": self.outputs, "hessian": {}}
        return layers.get(of, {"": self})


@dataclass(frozen=True)
class Diagnostic:
    """An entry of the table.

    of: what it is a function of: a "step" (`Observed`), the same of data that has "classes", the gradient of a
        "parameter", the output of an "activation" layer, or products with the "hessian" (`largest_eigenvalue`)
    """

    function: Callable[..., Any]
    of: str


def _is_diagnostic(component: object) -> str:
    return "" if isinstance(component, Diagnostic) else 'expected a Diagnostic: Diagnostic(function, "step")'


DIAGNOSTICS: Registry[Diagnostic] = Registry("diagnostic", _is_diagnostic)


def _diagnostic(name: str, of: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter the decorated function into the table."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        register("diagnostic", name)(Diagnostic(function, of))
        return function

    return enter


def columns(names: Iterable[str], parameters: Iterable[str], layers: Iterable[str]) -> list[str]:
    """The columns that diagnostics fill, in order.

    >>> columns(["grad_norm", "dead_units"], parameters=["0.weight"], layers=["1", "3"])
    ['grad_norm', 'dead_units/1', 'dead_units/3']
    """
    parts = {"parameter": parameters, "activation": layers}
    return [_column(name, part) for name in dict.fromkeys(names) for part in parts.get(kind(name), [""])]


def compute(names: Iterable[str], seen: Observed) -> dict[str, Tensor]:
    """Column -> value of every diagnostic that a step tells: all but those of the Hessian."""
    return {
        _column(name, part): DIAGNOSTICS[name].function(value)
        for name in names
        for part, value in seen.parts(kind(name)).items()
    }


def compute_of_hessian(names: Iterable[str], product: Callable[[Array], Array], start: Array) -> dict[str, float]:
    """Column -> value of the others, from products with the Hessian, [n] -> [n], and a random vector [n]."""
    return {name: DIAGNOSTICS[name].function(product, start) for name in names if kind(name) == "hessian"}


def kind(name: str) -> str:
    """What a diagnostic is a function of."""
    return DIAGNOSTICS[name].of


def _column(name: str, part: str) -> str:
    return f"{name}/{part}" if part else name


# Of a step


def norm(x: Tensor) -> Tensor:
    """√ Σ x²: [...] -> []."""
    return (x * x).sum().sqrt()


@_diagnostic("grad_norm", "step")
def grad_norm(step: Observed) -> Tensor:
    """The length of the gradient over all parameters that are trained."""
    return norm(step.gradient)


@_diagnostic("param_norm", "step")
def param_norm(step: Observed) -> Tensor:
    """The length of the vector of all parameters, frozen ones too."""
    return norm(F.concatenate([step.params, *(t.reshape(-1) for t in step.frozen)]))


@_diagnostic("update_ratio", "step")
def update_ratio(step: Observed) -> Tensor:
    """|new - old| / |old| of the parameters that are trained."""
    return norm(step.updated - step.params) / norm(step.params)


@_diagnostic("train_accuracy", "classes")
def train_accuracy(step: Observed) -> Tensor:
    """The share of the batch whose class is told right."""
    return F.accuracy(step.output, step.target).astype(step.output.dtype)


@_diagnostic("layer_grad_norm", "parameter")
def layer_grad_norm(gradient: Tensor) -> Tensor:
    """The length of one parameter's gradient; their squares add up to that of grad_norm."""
    return norm(gradient)


@_diagnostic("activation_mean", "activation")
def activation_mean(output: Tensor) -> Tensor:
    """The mean of a layer's output over examples and units."""
    return output.mean()


@_diagnostic("activation_std", "activation")
def activation_std(output: Tensor) -> Tensor:
    """The standard deviation of a layer's output over examples and units."""
    return F.var(output, correction=0).sqrt()


@_diagnostic("dead_units", "activation")
def dead_units(output: Tensor) -> Tensor:
    """The share of units, or channels, that are 0 for every example of the batch: [batch, units, ...] -> [].

    >>> dead_units(Tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 2.0]])).item()
    0.5
    """
    others = [axis for axis in range(output.ndim) if axis != 1]
    return (output.abs().max(others) == 0.0).astype(output.dtype).mean()


# Of the Hessian

MOST = 50  # products with the matrix


TOLERANCE = 1e-4  # of the eigenvalue: how far off it may be


@_diagnostic("sharpness", "hessian")
def largest_eigenvalue(product: Callable[[Array], Array], start: Array) -> float:
    """The largest eigenvalue of a symmetric matrix, the most positive one, from products with vectors: [n] -> [n].

    Of the Hessian of what training makes small it is the sharpness: gradient descent with a steady rate goes on to
    where that hovers about 2 / lr (Cohen et al. 2021, "Gradient descent on neural networks typically occurs at the edge
    of stability", section 3). It comes by Lanczos's iteration (1950) with full reorthogonalisation, which ends when the
    residual |A v - λ v| is small beside λ, or after 50 products; the value is then one from
    below. Sums are float64. nan where a product is not finite.

    start: the first direction: another one gives another rounding, not another eigenvalue

    >>> matrix = np.diag([-5.0, 1.0, 3.0])
    >>> round(largest_eigenvalue(lambda v: matrix @ v, np.ones(3)), 9)
    3.0
    """
    limit = min(MOST, len(start))
    basis = np.zeros((limit, len(start)))
    matrix = np.zeros((limit, limit))  # the same linear map in the directions tried: tridiagonal
    direction = start / np.linalg.norm(start)
    value = float("nan")
    for i in range(limit):
        basis[i] = direction
        image = np.asarray(product(direction), np.float64)
        if not np.isfinite(image).all():
            return float("nan")
        tried = basis[: i + 1]
        matrix[i, i] = tried[i] @ image
        for _ in range(2):  # once leaves what the first pass rounds off
            image = image - tried.T @ (tried @ image)
        length = float(np.linalg.norm(image))
        values, vectors = np.linalg.eigh(matrix[: i + 1, : i + 1])
        value = float(values[-1])
        rounding = 4 * np.finfo(np.float64).eps * np.abs(values).max()
        if length * abs(vectors[-1, -1]) <= max(TOLERANCE * abs(value), rounding) or i + 1 == limit:
            break
        matrix[i, i + 1] = matrix[i + 1, i] = length
        direction = image / length
    return value
