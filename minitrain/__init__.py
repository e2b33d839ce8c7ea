"""minitrain: train small networks, and whole sweeps of them, on an autograd core that hides nothing."""

from minitrain import data, diagnostics, nn, optim, schedule
from minitrain.autograd import functional
from minitrain.autograd.grad import check_grads, grad, gradients, hessian, hvp, jacobian, value_and_grad
from minitrain.autograd.graph import no_grad
from minitrain.autograd.tensor import Parameter, Tensor
from minitrain.autograd.trace import TracingError, trace
from minitrain.config import ConfigError, option, register
from minitrain.drawing import draw, draw_network

__version__ = "0.1.0"

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
    "nn",
    "no_grad",
    "optim",
    "option",
    "register",
    "schedule",
    "trace",
    "value_and_grad",
]
