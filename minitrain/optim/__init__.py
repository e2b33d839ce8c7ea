"""Optimizers as pure update rules and as classes for hand-written loops, schedules, gradient clipping.

May import autograd and the loose modules.
"""

from minitrain.optim import schedules
from minitrain.optim.gradient_transforms import clip_by_global_norm, l2_gradient, l2_penalty
from minitrain.optim.optimizers import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    Momentum,
    NAdam,
    Nesterov,
    Optimizer,
    RMSprop,
)
from minitrain.optim.rules import (
    AdagradRule,
    AdamRule,
    AdamWRule,
    LionRule,
    MomentumRule,
    NAdamRule,
    NesterovRule,
    OptimizerRule,
    RMSpropRule,
    SGDRule,
    State,
)

__all__ = [
    "SGD",
    "Adagrad",
    "AdagradRule",
    "Adam",
    "AdamRule",
    "AdamW",
    "AdamWRule",
    "Lion",
    "LionRule",
    "Momentum",
    "MomentumRule",
    "NAdam",
    "NAdamRule",
    "Nesterov",
    "NesterovRule",
    "Optimizer",
    "OptimizerRule",
    "RMSprop",
    "RMSpropRule",
    "SGDRule",
    "State",
    "clip_by_global_norm",
    "l2_gradient",
    "l2_penalty",
    "schedules",
]
