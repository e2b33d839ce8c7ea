"""minitrain: train small networks, and whole sweeps of them, on an autograd core that hides nothing."""

from typing import TYPE_CHECKING, Any

from minitrain import data, nn, optim, schedule
from minitrain.autograd import functional
from minitrain.autograd.grad import check_grads, grad, gradients, hessian, hvp, jacobian, value_and_grad
from minitrain.autograd.graph import no_grad
from minitrain.autograd.tensor import Parameter, Tensor
from minitrain.autograd.trace import TracingError, trace
from minitrain.config import ConfigError, option, register
from minitrain.drawing import draw, draw_network

if TYPE_CHECKING:
    from minitrain.predict import load_model as load_model

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "Parameter",
    "Tensor",
    "TracingError",
    "check_grads",
    "data",
    "draw",
    "draw_network",
    "functional",
    "grad",
    "gradients",
    "hessian",
    "hvp",
    "jacobian",
    "load_model",
    "nn",
    "no_grad",
    "optim",
    "option",
    "register",
    "schedule",
    "trace",
    "value_and_grad",
]


def __getattr__(name: str) -> Any:
    if name == "load_model":  # Hydra's config files are read by it, and OmegaConf is not loaded for less
        from minitrain.predict import load_model

        return load_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
