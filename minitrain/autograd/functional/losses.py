"""Losses, each a mean over the batch, and accuracy."""

from __future__ import annotations

import numpy as np

from minitrain.autograd.functional.reductions import log_softmax
from minitrain.autograd.primitives import Array
from minitrain.autograd.tensor import Tensor


def cross_entropy(logits: Tensor, target: Array) -> Tensor:
    """Mean negative log-likelihood of the target class: logits [batch, classes], integers [batch] -> [].

    -log softmax(logits)[target], without overflow for any logits.
    Raises ValueError where the target is not one integer class per row.

    >>> cross_entropy(Tensor([[1000.0, 0.0]]), np.array([1])).item()
    1000.0
    """
    target = np.asarray(target)
    if target.shape != logits.shape[:1] or target.dtype.kind not in "iu" or logits.ndim != 2:
        raise ValueError(
            f"cross_entropy: logits {list(logits.shape)}, target {target.dtype} {list(target.shape)}: expected logits "
            "[batch, classes] and one integer class per row"
        )
    picked = Tensor(target[:, None] == np.arange(logits.shape[-1]))
    return -picked.where(log_softmax(logits), 0.0).sum() / len(target)


def mse_loss(prediction: Tensor, target: Array) -> Tensor:
    """Mean squared error, over all entries: two of shape [batch, ...] -> [].

    Raises ValueError where the shapes differ: a target [batch] against a prediction [batch, 1] would be
    repeated to [batch, batch].

    >>> mse_loss(Tensor([1.0, 3.0]), np.array([0.0, 0.0])).item()
    5.0
    """
    if prediction.shape != np.shape(target):
        raise ValueError(
            f"mse_loss: prediction {list(prediction.shape)}, target {list(np.shape(target))}: expected equal shapes; "
            "reshape one of them"
        )
    return ((prediction - target) ** 2).mean()


def accuracy(logits: Tensor, target: Array) -> float:
    """The share of rows whose largest logit is the target's: [batch, classes], [batch] -> 0 to 1.

    >>> accuracy(Tensor([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
    0.5
    """
    return float(np.mean(logits.argmax().numpy() == target))
