"""The cases in minitrain: the compiled step of a run or of a group of runs, without writing files."""

from collections.abc import Iterator

import numpy as np
from cases import BETAS, EPS, MOMENTUM, Array, Case

import minitrain
from minitrain.components.losses import build_loss
from minitrain.components.networks import MLPConfig
from minitrain.components.sequential import CNNConfig
from minitrain.config.schema import RunConfig
from minitrain.data import Dataset, Preprocessing
from minitrain.nn.activation import activation_layer
from minitrain.optim.rules import AdamRule, MomentumRule, SGDRule
from minitrain.optim.schedules import Constant
from minitrain.training.compiled_engine import CompiledEngine
from minitrain.training.training_step import TrainingStep

VERSION = f"minitrain {minitrain.__version__} (NumPy {np.__version__})"

RULES = {"sgd": SGDRule(), "momentum": MomentumRule(MOMENTUM), "adam": AdamRule(*BETAS, EPS)}


class CaseStep(TrainingStep):
    """The training step of one run of a case, with the batches of the case."""

    def __init__(self, case: Case, run: int) -> None:
        network = CNNConfig(list(case.channels)) if case.channels else MLPConfig(list(case.widths[1:-1]))
        outputs = case.widths[-1] if case.widths else 10
        self.case = case
        config = RunConfig(
            data=None,
            network=network,
            optimizer=RULES[case.optimizer],
            schedule=Constant(),
            lr=float(case.lr[run]),
            loss=case.loss,
            batch_size=None if case.rows is None else case.rows.shape[1],
        )
        model = network.build(case.x.shape[1], outputs, activation_layer(case.activation), seed=0)
        for p, w in zip(model.parameters(), case.weights, strict=True):
            p.data = w[run]
        data = Dataset(case.x, case.y, case.x[:0], case.y[:0], Preprocessing(case.x.shape[1], classes=outputs))
        super().__init__(config, data, model, build_loss(config.loss, **config.loss_options))

    def order(self, epoch: int) -> Array:
        rows = self.case.rows
        batches = len(self.case.x) // rows.shape[1]
        return rows[epoch * batches : (epoch + 1) * batches].ravel()


class Compiled:
    """All runs of a case, in groups of the size that minitrain chooses, or of `group_size`."""

    def __init__(self, case: Case, group_size: int | None = None) -> None:
        steps = [CaseStep(case, run) for run in range(case.runs)]
        size = group_size or CompiledEngine(steps[0]).runs_at_once
        self.groups = [CompiledEngine(*steps[i : i + size]) for i in range(0, case.runs, size)]
        self.initial = [{name: v.copy() for name, v in group.vectors.items()} for group in self.groups]

    def train(self, steps: int) -> Iterator[tuple[int, Array]]:
        with np.errstate(all="ignore"):
            for i, group in enumerate(self.groups):
                for name, vector in group.vectors.items():
                    vector[...] = self.initial[i][name]
                for k in range(steps):
                    yield i, group.loss(k)
                    group.update(k)

    def losses(self, steps: int) -> Array:
        losses_by_group: list[list[Array]] = [[] for _ in self.groups]
        for i, loss in self.train(steps):
            losses_by_group[i].append(np.atleast_1d(loss.copy()))
        return np.concatenate([np.stack(losses, axis=1) for losses in losses_by_group])

    def steps(self, steps: int) -> None:
        for _ in self.train(steps):
            pass
