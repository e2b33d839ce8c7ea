"""The cases in PyTorch: plain loops, one run after another; and many runs in batched operations, written by hand."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from cases import BETAS, EPS, MOMENTUM, Array, Case
from torch import nn
from torch.nn import functional as F

VERSION = f"PyTorch {torch.__version__}"
torch.set_num_threads(1)

ACTIVATIONS = {"silu": nn.SiLU, "relu": nn.ReLU}
LOSSES = {"mse": F.mse_loss, "cross_entropy": F.cross_entropy}


class Data:
    """The examples of a case as tensors."""

    def __init__(self, case: Case) -> None:
        x = case.x.reshape(-1, 1, 8, 8) if case.channels else case.x
        self.x, self.y = torch.tensor(x), torch.tensor(case.y)
        self.rows = None if case.rows is None else list(torch.tensor(case.rows))

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        if self.rows is None:
            return self.x, self.y
        rows = self.rows[step]
        return self.x[rows], self.y[rows]


class Eager:
    """The plain training loop, one run after another."""

    def __init__(self, case: Case) -> None:
        self.case, self.data, self.net = case, Data(case), network(case)
        self.weights = [[torch.tensor(w[run]) for w in case.weights] for run in range(case.runs)]

    def train(self, run: int, steps: int) -> Iterator[torch.Tensor]:
        with torch.no_grad():
            for p, initial in zip(self.net.parameters(), self.weights[run], strict=True):
                p.copy_(initial)
        optimizer, loss_function = self.optimizer(float(self.case.lr[run])), LOSSES[self.case.loss]
        for step in range(steps):
            x, y = self.data.batch(step)
            optimizer.zero_grad(set_to_none=True)
            loss = loss_function(self.net(x), y)
            loss.backward()
            optimizer.step()
            yield loss

    def optimizer(self, lr: float) -> torch.optim.Optimizer:
        parameters = self.net.parameters()
        if self.case.optimizer == "adam":
            return torch.optim.Adam(parameters, lr=lr, betas=BETAS, eps=EPS)
        return torch.optim.SGD(parameters, lr=lr, momentum=MOMENTUM if self.case.optimizer == "momentum" else 0)

    def losses(self, steps: int) -> Array:
        return np.array([[loss.item() for loss in self.train(run, steps)] for run in range(self.case.runs)])

    def steps(self, steps: int) -> None:
        for run in range(self.case.runs):
            for _ in self.train(run, steps):
                pass


def network(case: Case) -> nn.Sequential:
    activation = ACTIVATIONS[case.activation]
    layers: list[nn.Module] = []
    if case.channels:
        for before, after in zip((1, *case.channels[:-1]), case.channels, strict=True):
            layers += [nn.Conv2d(before, after, 3, padding=1), activation(), nn.MaxPool2d(2)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, 10))
    for before, after in pairwise(case.widths):
        layers += [nn.Linear(before, after), activation()]
    return nn.Sequential(*layers[:-1])


class Stacked:
    """All runs of an MLP in each operation: weights [runs, out, in] and batched matrix products."""

    def __init__(self, case: Case) -> None:
        self.case, self.data = case, Data(case)
        self.activation = {"silu": F.silu, "relu": F.relu}[case.activation]
        self.initial = [torch.tensor(w) for w in case.weights]
        lr = torch.tensor(case.lr)
        self.lr = [lr.reshape(-1, *[1] * (w.ndim - 1)) for w in case.weights]

    def loss(self, parameters: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The loss of each run: [runs]."""
        runs = self.case.runs
        hidden = x.expand(runs, *x.shape)
        last = len(parameters) - 2
        for i in range(0, len(parameters), 2):
            weight, bias = parameters[i : i + 2]
            hidden = torch.baddbmm(bias[:, None], hidden, weight.transpose(1, 2))
            if i < last:
                hidden = self.activation(hidden)
        if self.case.loss == "mse":
            return (hidden - y).square().mean((1, 2))
        logits, target = hidden.flatten(0, 1), y.expand(runs, -1).flatten()
        return F.cross_entropy(logits, target, reduction="none").reshape(runs, -1).mean(1)

    def train(self, steps: int) -> Iterator[torch.Tensor]:
        parameters = [w.clone().requires_grad_() for w in self.initial]
        moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in self.initial]
        for step in range(steps):
            loss = self.loss(parameters, *self.data.batch(step))
            gradients = torch.autograd.grad(loss.sum(), parameters)
            with torch.no_grad():
                for p, g, (mean, square), lr in zip(parameters, gradients, moments, self.lr, strict=True):
                    if self.case.optimizer == "adam":
                        mean.lerp_(g, 1 - BETAS[0])
                        square.mul_(BETAS[1]).addcmul_(g, g, value=1 - BETAS[1])
                        root = square.sqrt().div_((1 - BETAS[1] ** (step + 1)) ** 0.5).add_(EPS)
                        p.addcmul_(mean / root, lr, value=-1 / (1 - BETAS[0] ** (step + 1)))
                    else:
                        p.addcmul_(g, lr, value=-1)
            yield loss

    def losses(self, steps: int) -> Array:
        return np.stack([loss.detach().numpy() for loss in self.train(steps)], axis=1)

    def steps(self, steps: int) -> None:
        for _ in self.train(steps):
            pass
