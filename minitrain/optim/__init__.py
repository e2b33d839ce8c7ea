"""Optimizers: each a rule of two pure functions (`rules`), and a thin class for hand-written loops (`optimizers`)."""

from minitrain.optim.gradient import clip_by_global_norm, l2_gradient, l2_penalty
from minitrain.optim.optimizers import SGD, Adagrad, Adam, AdamW, Lion, Momentum, NAdam, Nesterov, Optimizer, RMSprop
from minitrain.optim.rules import (
    AdagradRule,
    AdamRule,
    AdamWRule,
    LionRule,
    MomentumRule,
    NAdamRule,
    NesterovRule,
    RMSpropRule,
    Rule,
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
    "RMSprop",
    "RMSpropRule",
    "Rule",
    "SGDRule",
    "State",
    "clip_by_global_norm",
    "l2_gradient",
    "l2_penalty",
]
