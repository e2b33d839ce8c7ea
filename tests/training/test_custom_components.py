"""Custom components compute the same bits in every engine: activations, losses, networks, optimizers, schedules."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from engine_checks import BASE, RunningMean, check_engines, with_seeds, with_values

from minitrain import Parameter, Tensor, nn, option, register
from minitrain import functional as F


@pytest.fixture(params=["float32", "float64"])
def base(request):
    return replace(BASE, dtype=request.param)


class Swish(nn.Module):
    def __init__(self):
        self.beta = Parameter(1.0, "beta")

    def forward(self, x):
        return x * (x * self.beta).sigmoid()


class Centered(RunningMean):
    def forward(self, x):
        return (x - self.updated_mean(x)).tanh()


class Noisy(nn.Module):
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def forward(self, x):
        if not self.training:
            return x
        noise = Tensor(self.rng.normal(size=x.shape)).astype(x.dtype)
        other = x[self.rng.integers(0, len(x), len(x))]
        return (x + noise * 0.1) * (self.rng.random(x.shape) < 0.8) + other * 0.1


class Branches(nn.Module):
    def __init__(self, inputs, outputs, activation, seed):
        self.branches = [
            nn.Linear(inputs, 4, rng=seed),
            nn.Sequential(nn.Linear(inputs, 3, rng=seed + 1), activation()),
        ]
        self.last = nn.Linear(7, outputs, rng=seed + 2)

    def forward(self, x):
        return self.last(F.concatenate([branch(x) for branch in self.branches], axis=1))


@dataclass(frozen=True)
class BranchesConfig:
    def build(self, inputs, outputs, activation, seed):
        return Branches(inputs, outputs, activation, seed)

    def describe(self, inputs, outputs, activation):
        return "branches"


@dataclass(frozen=True)
class Anchored:
    """Its state has the initial parameters and a mean in float64."""

    beta: float = option(0.9, "decay of the mean", at_least=0, below=1)
    default_lr: float = option(0.05, "learning rate", at_least=0)

    def init(self, params):
        return {"mean": params * 0.0, "start": params * 1.0}

    def coefficients(self, step):
        return {"pull": 1 / (step + 1)}

    def update(self, grads, state, params, lr, pull):
        mean = state["mean"] * self.beta + grads * np.linspace(0.5, 1.5, len(params))
        return params - mean * lr + (state["start"] - params) * pull, {"mean": mean, "start": state["start"]}


@dataclass(frozen=True)
class Halves:
    every: int = option(2, "steps between halvings", at_least=1)

    def factor(self, step, steps):
        return 0.5 ** (step // self.every)


def focal(output, target):
    share = (F.softmax(output) * (target[:, None] == np.arange(output.shape[-1]))).sum(-1)
    return -((1 - share) ** 2 * share.log()).mean()


def by_index(output, target):
    return -F.take_along_axis(F.log_softmax(output), target[:, None]).mean()


def in_float64(output, target):
    return ((output - F.one_hot(target, output.shape[-1])) ** 2).mean()


CUSTOM = {
    "activation": {
        "cube": lambda x: x**3 * 0.1 + (x > 0).where(x, 0.1 * x), "swish": Swish, "centered": Centered, "noisy": Noisy,
        "scaled": lambda x: x * np.linspace(0.5, 1.5, x.shape[-1]),
    },
    "loss": {"focal": focal, "by_index": by_index, "in_float64": in_float64},
    "network": {"branches": BranchesConfig},
    "optimizer": {"anchored": Anchored},
    "schedule": {"halves": Halves},
}  # fmt: skip


@pytest.mark.parametrize(("group", "name"), [(group, name) for group, table in CUSTOM.items() for name in table])
def test_custom_components(base, own_components, group, name):
    register(group, name)(CUSTOM[group][name])
    component = CUSTOM[group][name] if group in ("activation", "loss") else CUSTOM[group][name]()
    check_engines(*with_seeds(replace(base, **{group: name if group in ("activation", "loss") else component})))


def test_numbers_of_custom_components_may_differ_in_a_group(own_components):
    register("optimizer", "anchored")(Anchored)
    check_engines(
        *with_values(
            BASE, optimizer=[Anchored(beta=beta) for beta in (0.9, 0.0, 0.5)], schedule=[Halves(n) for n in (1, 2, 3)]
        )
    )
