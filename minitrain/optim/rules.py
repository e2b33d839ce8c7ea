"""The update rules of the optimizers: each is a component of the group `optimizer`, a dataclass of two pure functions.

    init(params) -> state
    update(grads, state, params, lr, **coefficients(step)) -> (params, state)

Both work on flat vectors [n], and `state` is a dictionary of them. `coefficients` are the numbers that follow from the
options and the step. They are computed on the host in float64, where 1 - beta**t keeps its digits. `update` receives
them and `lr` as Tensors of the vectors' type. Numbers are combined with each other before they are combined with a
vector, because each operation on a vector is a pass over it.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, Protocol

import numpy as np

from minitrain.autograd.tensor import Tensor
from minitrain.options import option
from minitrain.registry import Registry, implements, register
from minitrain.typing import Array

State = dict[str, Tensor]


class OptimizerRule(Protocol):
    """A component of the group `optimizer`: an update rule as pure functions of flat vectors [n]."""

    @property
    def default_lr(self) -> float:
        """The learning rate if a config has no `lr`."""

    def init(self, params: Tensor) -> State:
        """Create the state before the first step, vectors by name; empty if the rule has none."""

    def coefficients(self, step: int) -> dict[str, float]:
        """Compute the numbers of a step (from 0) that `update` takes by name."""

    def update(
        self, grads: Tensor, state: State, params: Tensor, lr: float, *args: Any, **coefficients: Any
    ) -> tuple[Tensor, State]:
        """Compute the next parameters and the next state, with the names of `init`."""


OPTIMIZERS: Registry[type[OptimizerRule]] = Registry("optimizer", implements(OptimizerRule))


class _Stateless:
    """A rule without state and without coefficients."""

    def init(self, params: Tensor) -> State:
        return {}

    def coefficients(self, step: int) -> dict[str, float]:
        return {}


_DEFAULT_LR = "learning rate if lr is not given"
_EPS = "number added to the denominator"
_WEIGHT_DECAY = "decoupled weight decay: fraction of every parameter, times lr, subtracted at each step"


# Steps along the gradient


@register("optimizer", "sgd")
@dataclass(frozen=True)
class SGDRule(_Stateless):
    """Gradient descent (Robbins and Monro 1951): p <- p - lr g."""

    default_lr: float = option(0.3, _DEFAULT_LR, at_least=0)
    # The curvature of the squared error is so much larger than that of other losses that a step of 0.3 overshoots.
    default_lr_mse: float = option(0.1, f"{_DEFAULT_LR}, with loss=mse", at_least=0)

    def update(self, grads: Tensor, state: State, params: Tensor, lr: float) -> tuple[Tensor, State]:
        """Compute the next parameters and state."""
        return params - grads * lr, state


@register("optimizer", "momentum")
@dataclass(frozen=True)
class MomentumRule(_Stateless):
    """Heavy-ball momentum (Polyak 1964), as in PyTorch: v <- momentum v + g; p <- p - lr v."""

    momentum: float = option(0.9, "decay rate of the velocity", at_least=0, below=1)
    default_lr: float = option(0.05, _DEFAULT_LR, at_least=0)

    def init(self, params: Tensor) -> State:
        """Create the state before the first step."""
        return {"velocity": params * 0.0}

    def update(self, grads: Tensor, state: State, params: Tensor, lr: float) -> tuple[Tensor, State]:
        """Compute the next parameters and state."""
        velocity = state["velocity"] * self.momentum + grads
        return params - velocity * lr, {"velocity": velocity}


@register("optimizer", "nesterov")
@dataclass(frozen=True)
class NesterovRule(MomentumRule):
    """Nesterov's momentum (Nesterov 1983) as in PyTorch: momentum with the gradient one step ahead.

    v <- momentum v + g;  p <- p - lr (g + momentum v)
    """

    def update(self, grads: Tensor, state: State, params: Tensor, lr: float) -> tuple[Tensor, State]:
        """Compute the next parameters and state."""
        velocity = state["velocity"] * self.momentum + grads
        return params - (grads + velocity * self.momentum) * lr, {"velocity": velocity}


# Steps scaled by statistics of the gradients


@register("optimizer", "adagrad")
@dataclass(frozen=True)
class AdagradRule(_Stateless):
    """Adagrad (Duchi, Hazan, Singer 2011): steps scaled by the sum of all squared gradients.

    s <- s + g²;  p <- p - lr g / (√s + eps), with s = 0 initially as in PyTorch (0.1 in optax)
    """

    eps: float = option(1e-10, _EPS, at_least=0)
    default_lr: float = option(0.03, _DEFAULT_LR, at_least=0)

    def init(self, params: Tensor) -> State:
        """Create the state before the first step."""
        return {"square": params * 0.0}

    def update(self, grads: Tensor, state: State, params: Tensor, lr: float) -> tuple[Tensor, State]:
        """Compute the next parameters and state."""
        square = state["square"] + grads * grads
        return params - grads / (square.sqrt() + self.eps) * lr, {"square": square}


@register("optimizer", "rmsprop")
@dataclass(frozen=True)
class RMSpropRule:
    """RMSprop (Hinton, Srivastava, Swersky 2012, lecture 6e): steps scaled by a mean of g².

    s <- alpha s + (1 - alpha) g²;  p <- p - lr g / (√s + eps), with eps outside the root as in PyTorch (optax: inside)
    """

    alpha: float = option(0.99, "decay rate of the mean of the squared gradient", at_least=0, below=1)
    eps: float = option(1e-8, _EPS, at_least=0)
    default_lr: float = option(0.003, _DEFAULT_LR, at_least=0)

    def init(self, params: Tensor) -> State:
        """Create the state before the first step."""
        return {"square": params * 0.0}

    def coefficients(self, step: int) -> dict[str, float]:
        """Compute the numbers of a step."""
        return {"share": 1 - self.alpha}

    def update(self, grads: Tensor, state: State, params: Tensor, lr: float, share: float) -> tuple[Tensor, State]:
        """Compute the next parameters and state."""
        square = state["square"] * self.alpha + grads * grads * share
        return params - grads / (square.sqrt() + self.eps) * lr, {"square": square}


@dataclass(frozen=True)
class _MomentRule:
    """Running moments of the gradient, with bias corrections: the base of Adam and NAdam.

    m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g²
    """

    beta1: float = option(0.9, "decay rate of the mean of the gradient", at_least=0, below=1)
    beta2: float = option(0.999, "decay rate of the mean of the squared gradient", at_least=0, below=1)
    eps: float = option(1e-8, _EPS, at_least=0)
    _: KW_ONLY
    default_lr: float = option(0.003, _DEFAULT_LR, at_least=0)

    def init(self, params: Tensor) -> State:
        return {"mean": params * 0.0, "square": params * 0.0}

    def _correction(self, step: int) -> float:
        """√(1 - beta2^t), the root of the bias correction of v at t = step + 1."""
        return float((1 - self.beta2 ** (step + 1)) ** 0.5)

    def _moments(self, grads: Tensor, state: State, share1: float, share2: float) -> tuple[Tensor, Tensor]:
        """The next m and v; share1 = 1 - beta1, share2 = 1 - beta2."""
        mean = state["mean"] * self.beta1 + grads * share1
        square = state["square"] * self.beta2 + grads * grads * share2
        return mean, square


class _AdamRule(_MomentRule):
    """Adam's step, the base of Adam and AdamW.

    √(v / c) + eps = (√v + eps √c) / √c, where c = 1 - beta2^t: `floor` is eps √c, and `scale` has the other √c.
    """

    def coefficients(self, step: int) -> dict[str, float]:
        correction = self._correction(step)
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
        mean, square = self._moments(grads, state, share1, share2)
        step = mean / (square.sqrt() + floor)
        return params - step * (scale * lr), {"mean": mean, "square": square}


@register("optimizer", "adam")
@dataclass(frozen=True)
class AdamRule(_AdamRule):
    """Adam (Kingma and Ba 2015, algorithm 1): steps scaled by running moments of the gradient.

    m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g²
    p <- p - lr (m / (1 - beta1^t)) / (√(v / (1 - beta2^t)) + eps)
    with eps_hat: p <- p - lr √(1 - beta2^t) / (1 - beta1^t) m / (√v + eps)
    """

    eps_hat: bool = option(
        False,
        "epsilon-hat form of Kingma and Ba 2015, end of section 2, as in TensorFlow and scikit-learn: eps is added "
        "before the bias correction",
    )

    def coefficients(self, step: int) -> dict[str, float]:
        """Compute the numbers of a step."""
        coefficients = super().coefficients(step)
        return {**coefficients, "floor": self.eps} if self.eps_hat else coefficients


@register("optimizer", "adamw")
@dataclass(frozen=True)
class AdamWRule(_AdamRule):
    """AdamW (Loshchilov and Hutter 2019, algorithm 2, scaled as in PyTorch): Adam with decoupled weight decay.

    p <- p - lr weight_decay p, for every parameter, biases included; then Adam's step
    """

    weight_decay: float = option(0.01, _WEIGHT_DECAY, at_least=0)

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
        """Compute the next parameters and state."""
        decayed = params - params * (self.weight_decay * lr)
        return super().update(grads, state, decayed, lr, share1, share2, scale, floor)


@register("optimizer", "nadam")
@dataclass(frozen=True)
class NAdamRule(_MomentRule):
    """NAdam (Dozat 2016, with the momentum schedule of its section 3) as in PyTorch: Adam with Nesterov's momentum.

    m and v as in Adam;  mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)
    p <- p - lr (a g + b m) / (√(v / (1 - beta2^t)) + eps)
    a = (1 - mu_t) / (1 - mu_1 ... mu_t);  b = mu_(t+1) / (1 - mu_1 ... mu_(t+1))
    optax's nadam keeps mu at beta1.
    """

    momentum_decay: float = option(0.004, "rate at which the momentum rises from beta1 / 2 to beta1", at_least=0)

    def coefficients(self, step: int) -> dict[str, float]:
        """Compute the numbers of a step."""
        # The product is recomputed at each step (10 us) and not kept as state, which would have the type of the
        # vectors. It is at most beta1**t: after 40 / (1 - beta1) factors it is below 5e-18, and further factors do
        # not change 1 - product.
        t = step + 1
        factors = self._momentum(np.arange(1, min(t, int(40 / (1 - self.beta1))) + 1))
        product = float(np.multiply.reduce(factors))
        now, ahead = (float(mu) for mu in self._momentum(np.array([t, t + 1])))
        correction = self._correction(step)
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
        """Compute the next parameters and state."""
        mean, square = self._moments(grads, state, share1, share2)
        step = (grads * from_gradient + mean * from_mean) / (square.sqrt() + floor)
        return params - step * lr, {"mean": mean, "square": square}


# Steps of constant size


@register("optimizer", "lion")
@dataclass(frozen=True)
class LionRule:
    """Lion (Chen et al. 2023, algorithm 2): steps of size lr with the sign of a mean of the gradient.

    p <- p - lr (sign(beta1 m + (1 - beta1) g) + weight_decay p), for every parameter;  m <- beta2 m + (1 - beta2) g
    """

    beta1: float = option(0.9, "weight of the mean in the sign of the step", at_least=0, below=1)
    beta2: float = option(0.99, "decay rate of the mean of the gradient", at_least=0, below=1)
    weight_decay: float = option(0.0, _WEIGHT_DECAY, at_least=0)
    default_lr: float = option(0.0003, _DEFAULT_LR, at_least=0)

    def init(self, params: Tensor) -> State:
        """Create the state before the first step."""
        return {"mean": params * 0.0}

    def coefficients(self, step: int) -> dict[str, float]:
        """Compute the numbers of a step."""
        return {"share1": 1 - self.beta1, "share2": 1 - self.beta2}

    def update(
        self, grads: Tensor, state: State, params: Tensor, lr: float, share1: float, share2: float
    ) -> tuple[Tensor, State]:
        """Compute the next parameters and state."""
        direction = (state["mean"] * self.beta1 + grads * share1).sign()
        mean = state["mean"] * self.beta2 + grads * share2
        return params - (direction + params * self.weight_decay) * lr, {"mean": mean}
