"""Optimizers for hand-written loops: thin classes around the rules.

Every number may be left out: the rule's own default is then taken.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from minitrain.autograd.flat import FlatParameters
from minitrain.autograd.graph import no_grad
from minitrain.autograd.tensor import Parameter, Tensor
from minitrain.optim.rules import (
    AdagradRule,
    AdamHatRule,
    AdamRule,
    AdamWRule,
    LionRule,
    MomentumRule,
    NAdamRule,
    NesterovRule,
    OptimizerRule,
    RMSpropRule,
    SGDRule,
)

EXPECTED = "expected a list of Parameters: [w, b], or net.parameters()"


class Optimizer:
    """A rule applied to parameters in place: `zero_grad()`, `loss.backward()`, `step()`.

    A parameter without a gradient counts as having gradient zero.
    Raises ValueError for no parameters, one given twice, and lr < 0; TypeError for what is no list of Parameters.

    >>> w = Parameter(2.0, "w")
    >>> opt = SGD([w], lr=0.3)
    >>> opt.zero_grad(); (w * w).backward(); opt.step()
    >>> print(w)
    Parameter w = 0.8; dL/d[w] = 4.0
    """

    def __init__(self, params: Iterable[Parameter], lr: float, rule: OptimizerRule) -> None:
        if not lr >= 0:
            raise ValueError(f"{type(self).__name__}: lr={lr}: expected a number at least 0")
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            raise TypeError(f"{type(self).__name__}: a {type(params).__name__} given, {EXPECTED}")
        params = list(params)
        for p in params:
            if not isinstance(p, Parameter):
                raise TypeError(f"{type(self).__name__}: a {type(p).__name__} among the parameters, {EXPECTED}")
        self.flat = FlatParameters({f"{i}.{p.name or ''}": p for i, p in enumerate(params)})
        self.lr = lr
        self.rule = rule
        self.steps = 0
        with no_grad():
            self.state = rule.init(Tensor(self.flat.vector))

    def zero_grad(self) -> None:
        """Forget the gradients of the last step."""
        for p in self.flat.tensors.values():
            p.zero_grad()

    def step(self) -> None:
        """Update every parameter once. Raises ValueError where none has a gradient."""
        grads = [p.grad for p in self.flat.tensors.values()]
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


class Nesterov(Optimizer):
    """Nesterov's momentum: v <- momentum v + g; p <- p - lr (g + momentum v)."""

    def __init__(
        self, params: Iterable[Parameter], lr: float = NesterovRule.default_lr, momentum: float = NesterovRule.momentum
    ) -> None:
        super().__init__(params, lr, NesterovRule(momentum))


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan, Singer 2011): steps scaled by all gradients so far."""

    def __init__(
        self, params: Iterable[Parameter], lr: float = AdagradRule.default_lr, eps: float = AdagradRule.eps
    ) -> None:
        super().__init__(params, lr, AdagradRule(eps))


class RMSprop(Optimizer):
    """RMSprop (Hinton, Srivastava, Swersky 2012): steps scaled by a running mean of the gradient's square."""

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = RMSpropRule.default_lr,
        alpha: float = RMSpropRule.alpha,
        eps: float = RMSpropRule.eps,
    ) -> None:
        super().__init__(params, lr, RMSpropRule(alpha, eps))


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


class AdamHat(Optimizer):
    """Adam as TensorFlow and scikit-learn write it: eps is added before the correction of the gradient's square."""

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = AdamHatRule.default_lr,
        beta1: float = AdamHatRule.beta1,
        beta2: float = AdamHatRule.beta2,
        eps: float = AdamHatRule.eps,
    ) -> None:
        super().__init__(params, lr, AdamHatRule(beta1, beta2, eps))


class AdamW(Optimizer):
    """AdamW (Loshchilov and Hutter 2019): Adam, and p <- p - lr weight_decay p for every parameter."""

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = AdamWRule.default_lr,
        beta1: float = AdamWRule.beta1,
        beta2: float = AdamWRule.beta2,
        eps: float = AdamWRule.eps,
        weight_decay: float = AdamWRule.weight_decay,
    ) -> None:
        super().__init__(params, lr, AdamWRule(beta1, beta2, eps, weight_decay=weight_decay))


class NAdam(Optimizer):
    """NAdam (Dozat 2016): Adam with Nesterov's momentum."""

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = NAdamRule.default_lr,
        beta1: float = NAdamRule.beta1,
        beta2: float = NAdamRule.beta2,
        eps: float = NAdamRule.eps,
        momentum_decay: float = NAdamRule.momentum_decay,
    ) -> None:
        super().__init__(params, lr, NAdamRule(beta1, beta2, eps, momentum_decay))


class Lion(Optimizer):
    """Lion (Chen et al. 2023, algorithm 2): steps of size lr, with the sign of a mean of the gradient."""

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = LionRule.default_lr,
        beta1: float = LionRule.beta1,
        beta2: float = LionRule.beta2,
        weight_decay: float = LionRule.weight_decay,
    ) -> None:
        super().__init__(params, lr, LionRule(beta1, beta2, weight_decay))
