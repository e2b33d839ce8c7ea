"""Functions of Tensors, composed from primitives; their derivatives follow.

Every function takes Tensors, arrays or numbers and gives a Tensor. `from minitrain import functional as F`
is the usual way in.
"""

from minitrain.autograd.functional.arrays import concatenate, linear, matmul
from minitrain.autograd.functional.elementwise import (
    abs,
    exp,
    identity,
    log,
    maximum,
    relu,
    sigmoid,
    silu,
    sqrt,
    tanh,
    where,
)
from minitrain.autograd.functional.losses import (
    accuracy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    multi_margin_loss,
    nll_loss,
)
from minitrain.autograd.functional.reductions import argmax, log_softmax, logsumexp, max, mean, softmax, sum

__all__ = [
    "abs",
    "accuracy",
    "argmax",
    "binary_cross_entropy_with_logits",
    "concatenate",
    "cross_entropy",
    "exp",
    "hinge_loss",
    "huber_loss",
    "identity",
    "kl_div",
    "l1_loss",
    "linear",
    "log",
    "log_softmax",
    "logsumexp",
    "matmul",
    "max",
    "maximum",
    "mean",
    "mse_loss",
    "multi_margin_loss",
    "nll_loss",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "sqrt",
    "sum",
    "tanh",
    "where",
]
