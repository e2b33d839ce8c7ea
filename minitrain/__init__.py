"""minitrain: train small networks, and whole sweeps of them, on an autograd core that hides nothing."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from minitrain import data, diagnostics, nn, optim, schedule
from minitrain.autograd import functional
from minitrain.autograd.grad import check_grads, grad, gradients, hessian, hvp, jacobian, value_and_grad
from minitrain.autograd.graph import no_grad
from minitrain.autograd.tensor import Parameter, Tensor
from minitrain.autograd.trace import TracingError, trace
from minitrain.config import ConfigError, option, register

if TYPE_CHECKING:
    from minitrain.compare.results import load_runs
    from minitrain.drawing import draw, draw_network
    from minitrain.predict import load_model

__version__ = "0.1.0"

# What a run does not need is imported when it is first asked for.
_LATER = {"draw": "drawing", "draw_network": "drawing", "load_model": "predict", "load_runs": "compare.results"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'minitrain' has no attribute {name!r}")
    return getattr(import_module(f"minitrain.{_LATER[name]}"), name)


__all__ = [
    "ConfigError",
    "Parameter",
    "Tensor",
    "TracingError",
    "check_grads",
    "data",
    "diagnostics",
    "draw",
    "draw_network",
    "functional",
    "grad",
    "gradients",
    "hessian",
    "hvp",
    "jacobian",
    "load_model",
    "load_runs",
    "nn",
    "no_grad",
    "optim",
    "option",
    "register",
    "schedule",
    "trace",
    "value_and_grad",
]
