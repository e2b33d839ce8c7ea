"""Optimizers for hand-written training loops: classes that apply a rule to parameters in place.

The options of a class, their order and their defaults are the fields of its rule.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from minitrain.autograd.flat import FlatParameters
from minitrain.autograd.graph import no_grad
from minitrain.autograd.tensor import Parameter, Tensor
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
)
from minitrain.suggestions import closest

EXPECTED = "expected a list of Parameters: [w, b], or net.parameters()"


class Optimizer:
    """A rule applied to parameters in place: `zero_grad()`, `loss.backward()`, `step()`.

    The gradient of a parameter without `.grad` counts as zero.

    Args:
        params: The parameters.
        lr: The learning rate, at least 0.
        rule: The rule, which may be the user's own.

    Attributes:
        lr: The learning rate of the next step; it may be assigned.
        rule: The rule.
        state: The state of the rule, flat vectors by name.
        steps: The number of steps taken.

    Raises:
        ValueError: There are no parameters, one is listed twice, or `lr` is negative.
        TypeError: `params` is not a list of Parameters.

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
        """Reset the gradients of all parameters."""
        for p in self.flat.tensors.values():
            p.zero_grad()

    def step(self) -> None:
        """Update every parameter once.

        Raises:
            ValueError: No parameter has a gradient.
        """
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


class _OptimizerOf(Optimizer):
    """An optimizer whose options are the fields of `rule_type`; its signature and docstring list them."""

    rule_type: ClassVar[type[OptimizerRule]]

    def __init_subclass__(cls) -> None:
        rule = cls.rule_type
        fields = _option_fields(rule)
        help_of = {name: f.metadata["range"].help for name, f in fields.items()}
        lines = ["params: The parameters.", f"lr: The learning rate; {rule.default_lr:g} by default."]
        lines += [f"{name}: The {text}; {fields[name].default} by default." for name, text in help_of.items()]
        cls.__doc__ = "\n        ".join([f"{inspect.cleandoc(cls.__doc__ or '')}\n\n    Args:", *lines])
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        defaults = {"lr": rule.default_lr, **{name: f.default for name, f in fields.items()}}
        parameters = [inspect.Parameter("params", kind)]
        parameters += [inspect.Parameter(name, kind, default=default) for name, default in defaults.items()]
        cls.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]

    def __init__(self, params: Iterable[Parameter], lr: float | None = None, *args: float, **options: float) -> None:
        names = list(_option_fields(self.rule_type))
        expected = f"valid options: {', '.join(names) or 'none'}"
        if len(args) > len(names):
            raise TypeError(f"{type(self).__name__}: {len(args)} options after lr; {expected}")
        for name in options:
            if name not in names:
                suggestion = closest(name, names)
                hint = f"did you mean {suggestion}? " if suggestion else ""
                raise TypeError(f"{type(self).__name__}: unknown option {name}; {hint}{expected}")
            if name in names[: len(args)]:
                raise TypeError(f"{type(self).__name__}: option {name} is given twice; {expected}")
        rule = self.rule_type(**dict(zip(names, args, strict=False)), **options)
        super().__init__(params, rule.default_lr if lr is None else lr, rule)


def _option_fields(rule: type[OptimizerRule]) -> dict[str, dataclasses.Field[float]]:
    """The fields of a rule that are options of its class; the learning rate is an argument of every class."""
    return {f.name: f for f in dataclasses.fields(rule) if not f.name.startswith("default_lr")}  # type: ignore[arg-type]


class SGD(_OptimizerOf):
    """Gradient descent: p <- p - lr g."""

    rule_type = SGDRule


class Momentum(_OptimizerOf):
    """Heavy-ball momentum: v <- momentum v + g; p <- p - lr v."""

    rule_type = MomentumRule


class Nesterov(_OptimizerOf):
    """Nesterov's momentum: v <- momentum v + g; p <- p - lr (g + momentum v)."""

    rule_type = NesterovRule


class Adagrad(_OptimizerOf):
    """Adagrad (Duchi, Hazan, Singer 2011): steps scaled by the sum of all squared gradients."""

    rule_type = AdagradRule


class RMSprop(_OptimizerOf):
    """RMSprop (Hinton, Srivastava, Swersky 2012): steps scaled by a running mean of the squared gradient."""

    rule_type = RMSpropRule


class Adam(_OptimizerOf):
    """Adam (Kingma and Ba 2015, algorithm 1)."""

    rule_type = AdamRule


class AdamW(_OptimizerOf):
    """AdamW (Loshchilov and Hutter 2019): Adam with decoupled weight decay, p <- p - lr weight_decay p."""

    rule_type = AdamWRule


class NAdam(_OptimizerOf):
    """NAdam (Dozat 2016): Adam with Nesterov's momentum."""

    rule_type = NAdamRule


class Lion(_OptimizerOf):
    """Lion (Chen et al. 2023, algorithm 2): steps of size lr in the direction of a sign."""

    rule_type = LionRule
