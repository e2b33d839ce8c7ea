"""The optimizers' rules: each a component of the group `optimizer`, a dataclass with

    init(params) -> state
    update(grads, state, params, lr, **coefficients(step)) -> (params, state)

on flat vectors [n]; `state` is a dictionary of them. `coefficients` are the numbers that follow from the
options and the step: they are computed on the host in float64, where 1 - beta**t keeps its digits. `update` is
given them and lr as Tensors of the vectors' type; numbers are put together before they meet a vector, which
takes a pass over it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from minitrain.autograd.tensor import Tensor
from minitrain.options import option
from minitrain.registry import Registry, implements, register
from minitrain.typing import Array

State = dict[str, Tensor]


class OptimizerRule(Protocol):
    """What an optimizer's rule has."""

    @property
    def default_lr(self) -> float: ...

    def init(self, params: Tensor) -> State: ...

    def coefficients(self, step: int) -> dict[str, float]: ...

    @property
    def update(self) -> Callable[..., tuple[Tensor, State]]: ...


OPTIMIZERS: Registry[type[OptimizerRule]] = Registry("optimizer", implements(OptimizerRule))


class _Stateless:
    """A rule that starts with no state and has no coefficients."""

    def init(self, params: Tensor) -> State:
        return {}

    def coefficients(self, step: int) -> dict[str, float]:
        return {}


_DEFAULT_LR = "learning rate where `lr` is not given"


_EPS = "added to the denominator"


# Steps along the gradient


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


@register("optimizer", "nesterov")
@dataclass(frozen=True)
class NesterovRule(MomentumRule):
    """Nesterov's momentum (Nesterov 1983), as PyTorch writes it: a step of momentum, seen one step ahead.

    v <- momentum v + g;  p <- p - lr (g + momentum v)
    """

    def update(self, grads: Tensor, state: State, params: Tensor, lr: float) -> tuple[Tensor, State]:
        velocity = state["velocity"] * self.momentum + grads
        return params - (grads + velocity * self.momentum) * lr, {"velocity": velocity}


# Steps scaled by the gradients seen so far


@register("optimizer", "adagrad")
@dataclass(frozen=True)
class AdagradRule(_Stateless):
    """Adagrad (Duchi, Hazan, Singer 2011): steps scaled by all gradients so far.

    s <- s + g²;  p <- p - lr g / (√s + eps), with s = 0 at the start as in PyTorch (optax starts from 0.1)
    """

    eps: float = option(1e-10, _EPS, at_least=0)
    default_lr: float = option(0.03, _DEFAULT_LR, at_least=0)

    def init(self, params: Tensor) -> State:
        return {"square": params * 0.0}

    def update(self, grads: Tensor, state: State, params: Tensor, lr: float) -> tuple[Tensor, State]:
        square = state["square"] + grads * grads
        return params - grads / (square.sqrt() + self.eps) * lr, {"square": square}


@register("optimizer", "rmsprop")
@dataclass(frozen=True)
class RMSpropRule:
    """RMSprop (Hinton, Srivastava, Swersky 2012, lecture 6e): steps scaled by a running mean of the gradient's square.

    s <- alpha s + (1 - alpha) g²;  p <- p - lr g / (√s + eps), with eps beside the root as in PyTorch (optax: in it)
    """

    alpha: float = option(0.99, "decay of the mean of the gradient's square", at_least=0, below=1)
    eps: float = option(1e-8, _EPS, at_least=0)
    default_lr: float = option(0.003, _DEFAULT_LR, at_least=0)

    def init(self, params: Tensor) -> State:
        return {"square": params * 0.0}

    def coefficients(self, step: int) -> dict[str, float]:
        return {"share": 1 - self.alpha}

    def update(self, grads: Tensor, state: State, params: Tensor, lr: float, share: float) -> tuple[Tensor, State]:
        square = state["square"] * self.alpha + grads * grads * share
        return params - grads / (square.sqrt() + self.eps) * lr, {"square": square}


@register("optimizer", "adam")
@dataclass(frozen=True)
class AdamRule:
    """Adam (Kingma and Ba 2015, algorithm 1): steps scaled by running moments of the gradient.

    m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g²
    p <- p - lr (m / (1 - beta1^t)) / (√(v / (1 - beta2^t)) + eps)
    """

    beta1: float = option(0.9, "decay of the mean of the gradient", at_least=0, below=1)
    beta2: float = option(0.999, "decay of the mean of its square", at_least=0, below=1)
    eps: float = option(1e-8, _EPS, at_least=0)
    default_lr: float = option(0.003, _DEFAULT_LR, at_least=0)

    def init(self, params: Tensor) -> State:
        return {"mean": params * 0.0, "square": params * 0.0}

    def coefficients(self, step: int) -> dict[str, float]:
        correction = (1 - self.beta2 ** (step + 1)) ** 0.5
        return {
            "share1": 1 - self.beta1,
            "share2": 1 - self.beta2,
            "scale": correction / (1 - self.beta1 ** (step + 1)),
            "floor": self.eps * correction,
        }

    def update(
        self,
        grads: Tensor,
        state: State,
        params: Tensor,
        lr: float,
        share1: float,
        share2: float,
        scale: float,
        floor: float,
    ) -> tuple[Tensor, State]:
        # √(v / c) + eps = (√v + eps √c) / √c
        mean = state["mean"] * self.beta1 + grads * share1
        square = state["square"] * self.beta2 + grads * grads * share2
        step = mean / (square.sqrt() + floor)
        return params - step * (scale * lr), {"mean": mean, "square": square}


@register("optimizer", "adam_hat")
@dataclass(frozen=True)
class AdamHatRule(AdamRule):
    """Adam as TensorFlow and scikit-learn write it (Kingma and Ba 2015, end of section 2): eps before the correction.

    p <- p - lr √(1 - beta2^t) / (1 - beta1^t) m / (√v + eps)
    """

    def coefficients(self, step: int) -> dict[str, float]:
        return {**super().coefficients(step), "floor": self.eps}


@register("optimizer", "adamw")
@dataclass(frozen=True)
class AdamWRule(AdamRule):
    """AdamW (Loshchilov and Hutter 2019, algorithm 2, as PyTorch scales it): Adam, and a decay apart from it.

    p <- p - lr weight_decay p, of every parameter, biases too; then Adam's step
    """

    weight_decay: float = option(0.01, "share of every parameter, times lr, taken away at each step", at_least=0)

    def update(
        self,
        grads: Tensor,
        state: State,
        params: Tensor,
        lr: float,
        share1: float,
        share2: float,
        scale: float,
        floor: float,
    ) -> tuple[Tensor, State]:
        decayed = params - params * (self.weight_decay * lr)
        return super().update(grads, state, decayed, lr, share1, share2, scale, floor)


@register("optimizer", "nadam")
@dataclass(frozen=True)
class NAdamRule:
    """NAdam (Dozat 2016, with the momentum's schedule of its section 3), as PyTorch writes it: Adam one step ahead.

    m and v as Adam's;  mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)
    p <- p - lr (a g + b m) / (√(v / (1 - beta2^t)) + eps)
    a = (1 - mu_t) / (1 - mu_1 ... mu_t);  b = mu_(t+1) / (1 - mu_1 ... mu_(t+1))
    optax's nadam keeps mu at beta1.
    """

    beta1: float = option(0.9, "decay of the mean of the gradient", at_least=0, below=1)
    beta2: float = option(0.999, "decay of the mean of its square", at_least=0, below=1)
    eps: float = option(1e-8, _EPS, at_least=0)
    momentum_decay: float = option(0.004, "how fast the momentum rises from half of beta1 to beta1", at_least=0)
    default_lr: float = option(0.003, _DEFAULT_LR, at_least=0)

    def init(self, params: Tensor) -> State:
        return {"mean": params * 0.0, "square": params * 0.0}

    def coefficients(self, step: int) -> dict[str, float]:
        # The product is made anew at each step (10 us), so that it is no state: a state would be of the vectors'
        # type. It is at most beta1**t: what comes after 40 / (1 - beta1) factors, where it is below 5e-18, leaves
        # 1 - product as it is.
        t = step + 1
        factors = self._momentum(np.arange(1, min(t, int(40 / (1 - self.beta1))) + 1))
        product = float(np.multiply.reduce(factors))
        now, ahead = (float(mu) for mu in self._momentum(np.array([t, t + 1])))
        correction = (1 - self.beta2**t) ** 0.5
        return {
            "share1": 1 - self.beta1,
            "share2": 1 - self.beta2,
            "floor": self.eps * correction,
            "from_gradient": correction * (1 - now) / (1 - product),
            "from_mean": correction * ahead / (1 - product * ahead),
        }

    def _momentum(self, t: Array) -> Array:
        return np.asarray(self.beta1 * (1 - 0.5 * 0.96 ** (t * self.momentum_decay)))

    def update(
        self,
        grads: Tensor,
        state: State,
        params: Tensor,
        lr: float,
        share1: float,
        share2: float,
        floor: float,
        from_gradient: float,
        from_mean: float,
    ) -> tuple[Tensor, State]:
        mean = state["mean"] * self.beta1 + grads * share1
        square = state["square"] * self.beta2 + grads * grads * share2
        step = (grads * from_gradient + mean * from_mean) / (square.sqrt() + floor)
        return params - step * lr, {"mean": mean, "square": square}


# Steps of one size


@register("optimizer", "lion")
@dataclass(frozen=True)
class LionRule:
    """Lion (Chen et al. 2023, algorithm 2): steps of size lr, with the sign of a mean of the gradient.

    p <- p - lr (sign(beta1 m + (1 - beta1) g) + weight_decay p), of every parameter;  m <- beta2 m + (1 - beta2) g
    """

    beta1: float = option(0.9, "share of the mean in the step's sign", at_least=0, below=1)
    beta2: float = option(0.99, "decay of the mean of the gradient", at_least=0, below=1)
    weight_decay: float = option(0.0, "share of every parameter, times lr, taken away at each step", at_least=0)
    default_lr: float = option(0.0003, _DEFAULT_LR, at_least=0)

    def init(self, params: Tensor) -> State:
        return {"mean": params * 0.0}

    def coefficients(self, step: int) -> dict[str, float]:
        return {"share1": 1 - self.beta1, "share2": 1 - self.beta2}

    def update(
        self, grads: Tensor, state: State, params: Tensor, lr: float, share1: float, share2: float
    ) -> tuple[Tensor, State]:
        direction = (state["mean"] * self.beta1 + grads * share1).sign()
        mean = state["mean"] * self.beta2 + grads * share2
        return params - (direction + params * self.weight_decay) * lr, {"mean": mean}
