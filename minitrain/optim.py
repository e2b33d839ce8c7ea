"""Optimizers: each a rule of two pure functions, and a thin class for hand-written loops.

A rule is a component of the group `optimizer`, a dataclass with

    init(params) -> state
    update(grads, state, params, lr, **coefficients(step)) -> (params, state)

on flat vectors [n]; `state` is a dictionary of them. `coefficients` are numbers that change from step to
step: they are computed on the host in float64, where 1 - beta**t keeps its digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from minitrain.autograd.flat import FlatParameters
from minitrain.autograd.graph import no_grad
from minitrain.autograd.tensor import Parameter, Tensor
from minitrain.config import option, register

State = dict[str, Tensor]


class Rule(Protocol):
    """What an optimizer's rule has."""

    @property
    def default_lr(self) -> float: ...

    def init(self, params: Tensor) -> State: ...

    def coefficients(self, step: int) -> dict[str, float]: ...

    @property
    def update(self) -> Callable[..., tuple[Tensor, State]]: ...


class _Stateless:
    """A rule that starts with no state and has no coefficients."""

    def init(self, params: Tensor) -> State:
        return {}

    def coefficients(self, step: int) -> dict[str, float]:
        return {}


_DEFAULT_LR = "learning rate where `lr` is not given"


@register("optimizer", "sgd")
@dataclass(frozen=True)
class SGDRule(_Stateless):
    """Gradient descent (Robbins and Monro 1951): p <- p - lr g."""

    default_lr: float = option(0.3, _DEFAULT_LR, at_least=0)

    def update(self, grads: Tensor, state: State, params: Tensor, lr: float) -> tuple[Tensor, State]:
        return params - grads * lr, state


@register("optimizer", "momentum")
@dataclass(frozen=True)
class MomentumRule(_Stateless):
    """Heavy-ball momentum (Polyak 1964), as PyTorch writes it: v <- momentum v + g; p <- p - lr v."""

    momentum: float = option(0.9, "share of the last step's velocity that is kept", at_least=0, below=1)
    default_lr: float = option(0.05, _DEFAULT_LR, at_least=0)

    def init(self, params: Tensor) -> State:
        return {"velocity": params * 0.0}

    def update(self, grads: Tensor, state: State, params: Tensor, lr: float) -> tuple[Tensor, State]:
        velocity = state["velocity"] * self.momentum + grads
        return params - velocity * lr, {"velocity": velocity}


@register("optimizer", "adam")
@dataclass(frozen=True)
class AdamRule:
    """Adam (Kingma and Ba 2015, algorithm 1): steps scaled by running moments of the gradient.

    m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g²
    p <- p - lr (m / (1 - beta1^t)) / (√(v / (1 - beta2^t)) + eps)
    """

    beta1: float = option(0.9, "decay of the mean of the gradient", at_least=0, below=1)
    beta2: float = option(0.999, "decay of the mean of its square", at_least=0, below=1)
    eps: float = option(1e-8, "added to the denominator", at_least=0)
    default_lr: float = option(0.003, _DEFAULT_LR, at_least=0)

    def init(self, params: Tensor) -> State:
        return {"mean": params * 0.0, "square": params * 0.0}

    def coefficients(self, step: int) -> dict[str, float]:
        return {"correction1": 1 - self.beta1 ** (step + 1), "correction2": (1 - self.beta2 ** (step + 1)) ** 0.5}

    def update(
        self, grads: Tensor, state: State, params: Tensor, lr: float, correction1: float, correction2: float
    ) -> tuple[Tensor, State]:
        mean = state["mean"] * self.beta1 + grads * (1 - self.beta1)
        square = state["square"] * self.beta2 + grads * grads * (1 - self.beta2)
        # The order of operations is PyTorch's, whose trajectories this one follows.
        step = mean / (square.sqrt() / correction2 + self.eps)
        return params - step * (lr / correction1), {"mean": mean, "square": square}


class Optimizer:
    """A rule applied to parameters in place: `zero_grad()`, `loss.backward()`, `step()`.

    A parameter without a gradient counts as having gradient zero.
    Raises ValueError for no parameters, one given twice, and lr < 0.

    >>> w = Parameter(2.0, "w")
    >>> opt = SGD([w], lr=0.3)
    >>> opt.zero_grad(); (w * w).backward(); opt.step()
    >>> print(w)
    Parameter w = 0.8; dL/d[w] = 4.0
    """

    def __init__(self, params: Iterable[Parameter], lr: float, rule: Rule) -> None:
        if not lr >= 0:
            raise ValueError(f"{type(self).__name__}: lr={lr}: expected a number at least 0")
        self.flat = FlatParameters({f"{i}.{p.name or ''}": p for i, p in enumerate(params)})
        self.lr = lr
        self.rule = rule
        self.steps = 0
        with no_grad():
            self.state = rule.init(Tensor(self.flat.vector))

    def zero_grad(self) -> None:
        """Forget the gradients of the last step."""
        for p in self.flat.parameters.values():
            p.zero_grad()

    def step(self) -> None:
        """Update every parameter once. Raises ValueError where none has a gradient."""
        grads = [p.grad for p in self.flat.parameters.values()]
        if all(g is None for g in grads):
            raise ValueError("step: no parameter has a gradient; call loss.backward() first")
        flat = np.zeros_like(self.flat.vector)
        for view, g in zip(self.flat.split(flat).values(), grads, strict=True):
            view[...] = 0.0 if g is None else g
        with no_grad():
            params, self.state = self.rule.update(
                Tensor(flat), self.state, Tensor(self.flat.vector), self.lr, **self.rule.coefficients(self.steps)
            )
        self.flat.assign(params.numpy())
        self.steps += 1


class SGD(Optimizer):
    """Gradient descent: p <- p - lr g."""

    def __init__(self, params: Iterable[Parameter], lr: float = SGDRule.default_lr) -> None:
        super().__init__(params, lr, SGDRule())


class Momentum(Optimizer):
    """Heavy-ball momentum: v <- momentum v + g; p <- p - lr v."""

    def __init__(
        self, params: Iterable[Parameter], lr: float = MomentumRule.default_lr, momentum: float = MomentumRule.momentum
    ) -> None:
        super().__init__(params, lr, MomentumRule(momentum))


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1)."""

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = AdamRule.default_lr,
        beta1: float = AdamRule.beta1,
        beta2: float = AdamRule.beta2,
        eps: float = AdamRule.eps,
    ) -> None:
        super().__init__(params, lr, AdamRule(beta1, beta2, eps))
