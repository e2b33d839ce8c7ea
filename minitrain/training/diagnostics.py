"""Diagnostics that `diagnostics=` adds to a run's evaluations.

Each is a column of metrics.csv, or a column for each parameter or activation layer: `layer_grad_norm/0.weight`. Most
describe one step: the network before the update, in training mode, on the batch and with the random numbers of that
step. Those of the Hessian describe the training objective over all training examples, L2 penalty included, in
evaluation mode. Those that are described in `metrics` are of the validation examples (`val_f1`) or of the batch of a
step (`train_f1`). Values have the run's dtype, and these metrics float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from minitrain.autograd import functional as F
from minitrain.autograd.tensor import Tensor
from minitrain.data import Preprocessing
from minitrain.registry import Registry, register
from minitrain.training import metrics
from minitrain.typing import Array

Kind = Literal[
    "step", "classes", "parameter", "activation", "hessian", "regression", "classification", "multiclass", "multilabel",
    "binary",
]  # fmt: skip
EVALUATION_KINDS = ("regression", "classification", "multiclass", "multilabel", "binary")
HessianProduct = Callable[[Array], Array]  # direction [n] -> product with the Hessian [n]
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class StepObservation:
    """The intermediate values of a training step.

    Attributes:
        params: The trained parameters before the update: [n].
        updated: The trained parameters after the update: [n].
        frozen: The frozen parameters.
        gradient: The gradient of the training objective, L2 penalty included, before clipping: [n].
        gradients: Trained parameter -> its part of the gradient, in its shape.
        outputs: Activation layer -> its last output: [batch, units] or [batch, channels, ...].
        output: The output of the network: [batch, ...].
        target: The targets of the batch: [batch, ...]; None if the data has none.
    """

    params: Tensor
    updated: Tensor
    frozen: list[Tensor]
    gradient: Tensor
    gradients: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    output: Tensor
    target: Tensor | None

    def arguments(self, kind: Kind) -> Mapping[str, StepObservation | Tensor]:
        """The arguments that diagnostics of a kind are called with, by their names in the columns."""
        if kind == "parameter":
            return self.gradients
        if kind == "activation":
            return self.outputs
        return {} if kind in ("hessian", *EVALUATION_KINDS) else {"": self}


@dataclass(frozen=True)
class Diagnostic:
    """An entry of the registry.

    Attributes:
        function: Computes the value, a Tensor of one number, from the argument of its kind; a float if it is of the
            Hessian or of the validation examples.
        kind: The argument of `function`:

            - "step": a `StepObservation`,
            - "classes": the same; the data must have classes or several labels,
            - "parameter": the gradient of one parameter; a column for each,
            - "activation": the output of one activation layer; a column for each,
            - "hessian": two arguments, a `HessianProduct` and a random vector [n]; see `largest_eigenvalue`,
            - "regression": an `Evaluation`, see `examples`; the data must have numeric targets,
            - "classification", "multiclass", "multilabel", "binary": the same; the data must have classes or several
              labels, classes, several labels, or two classes or several labels.

        examples: The examples of an `Evaluation`: those for validation, or the batch of the step.
    """

    function: Callable[..., Any]  # its arguments depend on `kind`
    kind: Kind
    examples: Literal["validation", "batch"] = "validation"


def _check_diagnostic(component: object) -> str:
    if not isinstance(component, Diagnostic):
        return 'expected a Diagnostic: Diagnostic(function, "step")'
    if component.kind not in get_args(Kind):
        return f"kind {component.kind!r}: expected one of {', '.join(get_args(Kind))}"
    return ""


DIAGNOSTICS: Registry[Diagnostic] = Registry("diagnostic", _check_diagnostic)


def _diagnostic(name: str, kind: Kind) -> Callable[[Function], Function]:
    """Decorator that registers a function as a diagnostic."""

    def add(function: Function) -> Function:
        register("diagnostic", name)(Diagnostic(function, kind))
        return function

    return add


def columns(names: Iterable[str], parameters: Iterable[str], layers: Iterable[str]) -> list[str]:
    """The columns of metrics.csv that diagnostics fill, in order; repeated names count once.

    >>> columns(["grad_norm", "dead_units"], parameters=["0.weight"], layers=["1", "3"])
    ['grad_norm', 'dead_units/1', 'dead_units/3']
    """
    parts: dict[str, Iterable[str]] = {"parameter": parameters, "activation": layers}
    of_step = [name for name in dict.fromkeys(names) if not is_of_validation(name)]
    return [_column(name, part) for name in of_step for part in parts.get(kind_of(name), [""])]


def validation_metrics(names: Iterable[str], preprocessing: Preprocessing) -> list[str]:
    """The columns that metrics of the validation examples fill: those of any regression, and requested ones.

    Args:
        names: Requested diagnostics and metrics; others are left out.
        preprocessing: Describes the targets.
    """
    defaults = REGRESSION_METRICS if preprocessing.targets else ()
    return [*dict.fromkeys([*defaults, *(n for n in names if n in DIAGNOSTICS and is_of_validation(n))])]


def is_of_validation(name: str) -> bool:
    """Whether a registered diagnostic is a metric of the validation examples."""
    return kind_of(name) in EVALUATION_KINDS and DIAGNOSTICS[name].examples == "validation"


def batch_metrics(names: Iterable[str]) -> list[str]:
    """The diagnostics among some that are metrics of the batch of a step."""
    return [name for name in names if kind_of(name) in EVALUATION_KINDS and not is_of_validation(name)]


def unsuitable(kind: Kind, preprocessing: Preprocessing) -> str:
    """Why a kind of diagnostic is not suitable for the targets; empty if it is."""
    classes, multilabel = preprocessing.classes, preprocessing.multilabel
    if kind == "regression" and not preprocessing.targets:
        return "the data has no numeric target"
    if kind in ("classes", "classification", "multiclass", "binary") and not preprocessing.has_labels:
        return "the data has no classes"
    if (kind == "multiclass" and multilabel) or (kind == "multilabel" and not multilabel):
        expected = "one class per example" if kind == "multiclass" else "several labels per example"
        return f"is for {expected}, and the data has {preprocessing.describe_target()}"
    is_binary = bool(multilabel) or classes == 2
    return f"is for 2 classes, and the data has {classes}" if kind == "binary" and not is_binary else ""


def compute(names: Iterable[str], observation: StepObservation) -> dict[str, Tensor]:
    """The diagnostics of a step: column -> value []. Those of the Hessian and of the validation are left out."""
    return {
        _column(name, part): DIAGNOSTICS[name].function(argument)
        for name in names
        for part, argument in observation.arguments(kind_of(name)).items()
    }


def compute_of_hessian(names: Iterable[str], product: HessianProduct, start: Array) -> dict[str, float]:
    """The diagnostics of the Hessian: column -> value.

    Args:
        names: The requested diagnostics; those of other kinds are left out.
        product: The product of the Hessian with a direction.
        start: A random vector [n].
    """
    return {name: DIAGNOSTICS[name].function(product, start) for name in names if kind_of(name) == "hessian"}


def kind_of(name: str) -> Kind:
    """The kind of a registered diagnostic."""
    return DIAGNOSTICS[name].kind


def _column(name: str, part: str) -> str:
    return f"{name}/{part}" if part else name


# Of a step


def norm(x: Tensor) -> Tensor:
    """The Euclidean norm √ Σ x²: [...] -> []."""
    return (x * x).sum().sqrt()


@_diagnostic("grad_norm", "step")
def grad_norm(step: StepObservation) -> Tensor:
    """The norm of the gradient of all trained parameters."""
    return norm(step.gradient)


@_diagnostic("param_norm", "step")
def param_norm(step: StepObservation) -> Tensor:
    """The norm of all parameters, trained and frozen."""
    return norm(F.concatenate([step.params, *(t.reshape(-1) for t in step.frozen)]))


@_diagnostic("update_ratio", "step")
def update_ratio(step: StepObservation) -> Tensor:
    """The norm of the update relative to that of the trained parameters: |new - old| / |old|."""
    return norm(step.updated - step.params) / norm(step.params)


@_diagnostic("train_accuracy", "classes")
def train_accuracy(step: StepObservation) -> Tensor:
    """The accuracy on the batch; of several labels, the fraction that is predicted correctly."""
    return F.accuracy(step.output, step.target).astype(step.output.dtype)


@_diagnostic("layer_grad_norm", "parameter")
def layer_grad_norm(gradient: Tensor) -> Tensor:
    """The norm of one parameter's gradient; the squares of all sum to that of `grad_norm`."""
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
    """The fraction of dead units, whose output is 0 for the whole batch: [batch, units, ...] -> [].

    A channel is one unit: it is dead if it is 0 at every position.

    >>> dead_units(Tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 2.0]])).item()
    0.5
    """
    other_axes = [axis for axis in range(output.ndim) if axis != 1]
    return (output.abs().max(other_axes) == 0.0).astype(output.dtype).mean()


# Metrics of the validation examples, and of the batch of a step

REGRESSION_METRICS = ("val_rmse", "val_mae", "val_r2")
_METRICS: dict[str, tuple[Kind, Callable[[metrics.Evaluation], float]]] = {
    "rmse": ("regression", metrics.rmse),
    "mae": ("regression", metrics.mae),
    "r2": ("regression", metrics.r2),
    "balanced_accuracy": ("multiclass", metrics.balanced_accuracy),
    "exact_match": ("multilabel", metrics.exact_match),
    "f1": ("classification", metrics.f1),
    "auc": ("binary", metrics.auc),
}

for _name, (_kind, _function) in _METRICS.items():
    register("diagnostic", f"val_{_name}")(Diagnostic(_function, _kind))
    register("diagnostic", f"train_{_name}")(Diagnostic(_function, _kind, examples="batch"))


# Of the Hessian

MAX_PRODUCTS = 50  # bounds the time of an evaluation: a product costs about two gradients over all examples
TOLERANCE = 1e-4  # largest residual relative to the eigenvalue; far below what a figure shows


@_diagnostic("sharpness", "hessian")
def largest_eigenvalue(product: HessianProduct, start: Array) -> float:
    """The largest (most positive) eigenvalue of a symmetric matrix, from products with it.

    For the Hessian of the training objective it is the sharpness. Under gradient descent with a constant learning rate
    it rises to 2 / lr and stays there (edge of stability). The Lanczos iteration, with full reorthogonalization and
    in float64, ends when the residual |A v - λ v| is small relative to λ, or after `MAX_PRODUCTS` products, when the
    result is a lower bound.

    Args:
        product: The product of the matrix with a vector: [n] -> [n].
        start: The first direction [n]; it affects the rounding of the result.

    Returns:
        The eigenvalue; NaN if a product is not finite.

    References:
        Lanczos 1950, "An iteration method for the solution of the eigenvalue problem".
        Cohen et al. 2021, "Gradient descent on neural networks typically occurs at the edge of stability", section 3.

    >>> matrix = np.diag([-5.0, 1.0, 3.0])
    >>> round(largest_eigenvalue(lambda v: matrix @ v, np.ones(3)), 9)
    3.0
    """
    limit = min(MAX_PRODUCTS, len(start))
    basis = np.zeros((limit, len(start)))
    tridiagonal = np.zeros((limit, limit))  # the matrix in the basis
    direction = start / np.linalg.norm(start)
    value = float("nan")
    for i in range(limit):
        basis[i] = direction
        image = np.asarray(product(direction), np.float64)
        if not np.isfinite(image).all():
            return float("nan")
        span = basis[: i + 1]
        tridiagonal[i, i] = span[i] @ image
        for _ in range(2):  # the second pass removes what the first one leaves by rounding
            image = image - span.T @ (span @ image)
        length = float(np.linalg.norm(image))
        values, vectors = np.linalg.eigh(tridiagonal[: i + 1, : i + 1])
        value = float(values[-1])
        residual = length * abs(vectors[-1, -1])
        rounding = 4 * np.finfo(np.float64).eps * np.abs(values).max()
        if residual <= max(TOLERANCE * abs(value), rounding) or i + 1 == limit:
            break
        tridiagonal[i, i + 1] = tridiagonal[i + 1, i] = length
        direction = image / length
    return value
