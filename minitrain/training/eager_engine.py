"""The eager engine: executes a training step operation by operation.

It is the reference implementation for the compiled engine, which is traced from the same functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minitrain.autograd.graph import no_grad, topological_order
from minitrain.autograd.tensor import Tensor
from minitrain.data import row_blocks
from minitrain.training.training_step import BATCH_OUTPUT, TrainingStep
from minitrain.typing import Array


class NonfiniteOrigin(NamedTuple):
    """Where NaN or Inf was produced first.

    Attributes:
        operation: The name of the first operation with such a value; None if the loss's graph has none.
        parameter: The first parameter with such a value, or else one that the operation depends on.
    """

    operation: str | None
    parameter: str | None


class EagerEngine:
    """Computes the steps of one run by calling the functions of its `TrainingStep`.

    Implements `Engine`.

    Args:
        step: The training step of the run.
    """

    nbytes = 0  # values are allocated as they are computed
    runs_at_once = 1

    def __init__(self, step: TrainingStep) -> None:
        self.step = step
        self._pending: tuple[Tensor, Array] | None = None  # the last loss, and the buffers after its forward pass

    def loss(self, k: int) -> Array:
        """The loss of step k: []; nothing changes until `update`."""
        return self._forward(k).numpy()

    def _forward(self, k: int) -> Tensor:
        step = self.step
        initial_buffers = step.buffers.vector.copy()
        step.model.train(step.config.seed, k)
        loss = step.compute_loss(*step.batch(k).tensors(), Tensor(step.parameters.vector))
        self._pending = loss, step.buffers.vector.copy()
        # Not `assign`, which would invalidate the graph: `update` restores the values that the graph was computed with.
        step.buffers.vector[...] = initial_buffers
        return loss

    def update(self, k: int) -> None:
        """Take step k, whose loss was computed last."""
        step = self.step
        if self._pending is None:
            raise RuntimeError(f"update({k}): expected loss({k}) to be called first")
        loss, step.buffers.vector[...] = self._pending
        params, state, scalars = self._update_inputs(k)
        params, state = step.compute_update(step.compute_gradient(loss, params), params, state, scalars)
        for name, t in state.items():
            step.state[name][...] = t.numpy()
        step.parameters.assign(params.numpy())
        self._pending = None

    def _update_inputs(self, k: int) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """The parameters, optimizer state and scalars that the update of step k starts from."""
        step = self.step
        state = {name: Tensor(vector) for name, vector in step.state.items()}
        scalars = {name: step.as_tensor(value) for name, value in step.scalars(k).items()}
        return Tensor(step.parameters.vector), state, scalars

    @no_grad()
    def evaluate(self) -> dict[str, Array]:
        """Metrics on the validation examples, by name: [] each; empty if there are none."""
        step = self.step
        if not len(step.val):
            return {}
        output = self.validation_output()
        y = None if step.val.y is None else Tensor(step.val.y)
        metrics = {name: t.numpy() for name, t in step.compute_metrics(Tensor(output), y).items()}
        return metrics | {name: np.asarray(value) for name, value in step.measure(output).items()}

    @no_grad()
    def validation_output(self) -> Array:
        """The network's output on the validation examples, of which there must be some: [examples, outputs]."""
        model, x = self.step.model.eval(), self.step.val.x
        return np.concatenate([model(Tensor(x[block])).numpy() for block in row_blocks(x)])

    def inspect(self, k: int) -> dict[str, Array]:
        """The diagnostics of step k, whose loss was computed last, by column: [] each; nothing changes."""
        step = self.step
        if not step.diagnostics:
            return {}
        initial_buffers = step.buffers.vector.copy()
        step.model.train(step.config.seed, k)
        x, y = step.batch(k).tensors()
        tensors = step.compute_diagnostics(x, y, *self._update_inputs(k))
        step.buffers.vector[...] = initial_buffers
        self._forward(k)  # the buffers have changed since `loss`, and `update` needs a graph of their present values
        values = {name: t.numpy() for name, t in tensors.items()}
        values |= step.inspect_hessian(self._hessian_product)
        if step.batch_metrics:
            metrics = step.measure_batch(k, values[BATCH_OUTPUT])
            values |= {name: np.asarray(value) for name, value in metrics.items()}
        return {name: values[name] for name in step.diagnostics if name in values}

    def _hessian_product(self, direction: Array) -> Array:
        step = self.step
        step.model.eval()
        vectors = Tensor(step.parameters.vector), Tensor(direction.astype(step.config.dtype))
        return step.compute_hessian_product(*step.train[:].tensors(), *vectors).numpy()

    def select(self, runs: Sequence[int]) -> EagerEngine:
        """The engine itself: it computes one run.

        Raises:
            ValueError: `runs` is not [0].
        """
        if list(runs) != [0]:
            raise ValueError(f"select({list(runs)}): the eager engine computes one run; expected [0]")
        return self

    def find_nonfinite(self, k: int) -> NonfiniteOrigin:
        """Find the first operation in the loss of step k that produced NaN or Inf, and a parameter behind it."""
        loss, parameters = self._forward(k), self.step.parameters.tensors
        parameter = next((name for name, p in parameters.items() if not np.isfinite(p.data).all()), None)
        nodes = reversed(topological_order(loss)) if loss.requires_grad else iter(())
        for node in nodes:
            if node.primitive is not None and not np.isfinite(node.data).all():
                return NonfiniteOrigin(node.primitive.name, parameter or _first_parameter(node, parameters))
        return NonfiniteOrigin(None, parameter)


def _first_parameter(node: Tensor, parameters: dict[str, Tensor]) -> str | None:
    """The first parameter that a value depends on, in the order of its graph."""
    names = {id(p): name for name, p in parameters.items()}
    return next((names[id(t)] for t in topological_order(node) if id(t) in names), None)
