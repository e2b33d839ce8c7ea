"""The cases in minitrain: the loop of a run, without its record on disk."""

from collections.abc import Iterator

import numpy as np
from cases import BETAS, EPS, MOMENTUM, Array, Case

import minitrain
from minitrain import Tensor, nn, no_grad
from minitrain import functional as F
from minitrain.autograd.flat import FlatParameters
from minitrain.nn.networks import MLPConfig
from minitrain.nn.sequence import CNNConfig
from minitrain.optim.rules import AdamRule, MomentumRule, SGDRule

VERSION = f"minitrain {minitrain.__version__} (NumPy {np.__version__})"

ACTIVATIONS = {"silu": nn.SiLU, "relu": nn.ReLU}
LOSSES = {"mse": F.mse_loss, "cross_entropy": F.cross_entropy}
RULES = {"sgd": SGDRule(), "momentum": MomentumRule(MOMENTUM), "adam": AdamRule(*BETAS, EPS)}


class Eager:
    """One run."""

    def __init__(self, case: Case) -> None:
        if case.runs > 1:
            raise NotImplementedError("runs are not trained at once yet")
        self.case, self.net = case, network(case)
        for p, w in zip(self.net.parameters(), case.weights, strict=True):
            p.data = w[0]
        self.parameters = FlatParameters(self.net.named_parameters(), "float32")
        self.initial = self.parameters.vector.copy()

    def train(self, steps: int) -> Iterator[Tensor]:
        self.parameters.assign(self.initial)
        case, loss_of, rule, lr = self.case, LOSSES[self.case.loss], RULES[self.case.optimizer], float(self.case.lr[0])
        state = rule.init(Tensor(self.initial))
        x, y = case.x, case.y
        for step in range(steps):
            if case.rows is not None:
                x, y = case.x[case.rows[step]], case.y[case.rows[step]]
            loss = loss_of(self.net(Tensor(x)), y)
            gradient = self.parameters.gradient(loss)
            with no_grad():
                vector = Tensor(self.parameters.vector)
                vector, state = rule.update(gradient, state, vector, lr, **rule.coefficients(step))
            self.parameters.assign(vector.numpy())
            yield loss

    def losses(self, steps: int) -> Array:
        return np.array([[loss.item() for loss in self.train(steps)]])

    def steps(self, steps: int) -> None:
        for _ in self.train(steps):
            pass


def network(case: Case) -> nn.Module:
    """The network as a run's config makes it."""
    activation = ACTIVATIONS[case.activation]
    if case.channels:
        return CNNConfig(channels=list(case.channels)).build(64, 10, activation, seed=0)
    inputs, *hidden, outputs = case.widths
    return MLPConfig(widths=hidden).build(inputs, outputs, activation, seed=0)
