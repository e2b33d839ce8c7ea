"""minitrain: train small networks, and whole sweeps of them, on an autograd core that hides nothing."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from minitrain import components, data, nn, optim
from minitrain.autograd import functional
from minitrain.autograd.grad import check_grads, grad, gradients, hessian, hvp, jacobian, value_and_grad
from minitrain.autograd.graph import no_grad
from minitrain.autograd.tensor import Parameter, Tensor
from minitrain.compiler.tracing import trace
from minitrain.errors import ConfigError, TracingError
from minitrain.options import option
from minitrain.registry import register
from minitrain.training import diagnostics
from minitrain.version import __version__

if TYPE_CHECKING:
    from minitrain.compare.results import load_runs
    from minitrain.inference.model import load_model
    from minitrain.plotting.graph_drawing import draw, draw_network

# Name -> module, imported on first access: a run does not need these.
_LAZY = {
    "draw": "plotting.graph_drawing",
    "draw_network": "plotting.graph_drawing",
    "load_model": "inference.model",
    "load_runs": "compare.results",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'minitrain' has no attribute {name!r}")
    return getattr(import_module(f"minitrain.{_LAZY[name]}"), name)


__all__ = [
    "ConfigError",
    "Parameter",
    "Tensor",
    "TracingError",
    "__version__",
    "check_grads",
    "components",
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
    "trace",
    "value_and_grad",
]
