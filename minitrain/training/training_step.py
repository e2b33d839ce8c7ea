"""One run's training step: its parameters and state, and what a step computes of them, as functions of Tensors.

`TrainingStep` computes them as they are written, one operation after the other. It is the oracle for the compiled step,
which is traced from the same functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minitrain.autograd import functional as F
from minitrain.autograd.flat import FlatParameters, FlatTensors
from minitrain.autograd.grad import gradients
from minitrain.autograd.graph import no_grad, topological_order
from minitrain.autograd.tensor import Tensor
from minitrain.components import losses
from minitrain.config.schema import RunConfig
from minitrain.data import Dataset, RowsOnDisk, row_blocks
from minitrain.errors import ConfigError
from minitrain.nn.activation import activation_layers
from minitrain.nn.module import Module, describe_mismatch, record_outputs
from minitrain.optim.gradient_transforms import clip_by_global_norm, l2_gradient, l2_penalty
from minitrain.optim.schedules import schedule_factor
from minitrain.rng import generator
from minitrain.training import diagnostics
from minitrain.typing import Array

Numbers = dict[str, float]


@dataclass
class Examples:
    """Inputs and targets in the type that a run computes in."""

    x: Array | RowsOnDisk
    y: Array | None

    def __len__(self) -> int:
        return len(self.x)

    def astype(self, dtype: str) -> Examples:
        y = self.y
        return Examples(self.x.astype(dtype), y.astype(dtype) if y is not None and y.dtype.kind == "f" else y)

    def __getitem__(self, rows: Array | slice) -> Examples:
        return Examples(self.x[rows], None if self.y is None else self.y[rows])

    def tensors(self) -> tuple[Tensor, Tensor | None]:
        return Tensor(self.x), None if self.y is None else Tensor(self.y)


class TrainingStep:
    """The step of one run, after `update` was called for each step before it.

    parameters, buffers: flat vectors, of which the network's own are views
    state: the optimizer's, flat vectors by name
    layers: the network's activations, by name
    diagnostics: the columns that `metrics` asks for
    """

    def __init__(self, config: RunConfig, data: Dataset, model: Module, loss: losses.Loss) -> None:
        self.config, self.model, self.objective = config, model, loss
        self.train = Examples(data.x_train, data.y_train).astype(config.dtype)
        self.val = Examples(data.x_val, data.y_val).astype(config.dtype)
        self.has_classes = data.classes is not None
        self.parameters = FlatParameters(model.named_parameters(), config.dtype)
        self.buffers = FlatTensors(model.named_buffers(), config.dtype)
        start = Tensor(self.parameters.vector)
        self.state: dict[str, Array] = {name: t.numpy() for name, t in config.optimizer.init(start).items()}
        self.penalized = self.parameters.weights if config.l2_on == "weights" else self.parameters.vector.size
        self.layers = activation_layers(model)
        trained = [name for name, p in model.named_parameters().items() if p.requires_grad]
        self.diagnostics = diagnostics.columns(config.diagnostics, trained, self.layers)
        self._epoch: tuple[int, Array] = (-1, np.empty(0, np.intp))
        self._pending: tuple[Tensor, Array] | None = None  # the loss, and the buffers as it leaves them

    # What a step needs from the host: functions of the config and the step alone

    def rows(self, k: int) -> Array | None:
        """The examples of step k, by number; None for all. The last partial batch of an epoch is dropped."""
        if self.config.batch_size is None:
            return None
        epoch, rows = self.place(k)
        if self._epoch[0] != epoch:
            self._epoch = epoch, self.order(epoch)
        return self._epoch[1][rows]

    def place(self, k: int) -> tuple[int, slice]:
        """The epoch of step k, and where in its order the step's examples are."""
        size = self.config.batch_size or len(self.train)
        epoch, position = divmod(k, self.steps_per_epoch)
        return epoch, slice(position * size, (position + 1) * size)

    @property
    def steps_per_epoch(self) -> int:
        return len(self.train) // (self.config.batch_size or len(self.train))

    def order(self, epoch: int) -> Array:
        """All examples by number, in the order that an epoch takes them."""
        return generator(self.config.seed, "shuffle", epoch).permutation(len(self.train))

    def batch(self, k: int) -> Examples:
        rows = self.rows(k)
        return self.train[:] if rows is None else self.train[rows]

    def rate(self, k: int) -> float:
        """The learning rate of step k."""
        config = self.config
        return float(config.lr * schedule_factor(config.schedule, config.warmup, k, config.steps))

    def numbers(self, k: int) -> Numbers:
        """The optimizer's arguments at step k, beside vectors."""
        return {"lr": self.rate(k), **self.config.optimizer.coefficients(k)}

    def number(self, value: float) -> Tensor:
        """A number of the host's as every engine takes it: in the type of the vectors it meets."""
        return Tensor(np.asarray(value, self.config.dtype))

    # What a step computes

    def compute_loss(self, x: Tensor, y: Tensor | None, params: Tensor) -> Tensor:
        """What training makes small; `params` is the flat vector. It moves the network's buffers.

        The l2 penalty is a constant in it: `compute_gradient` adds its gradient on one slice.
        """
        loss = self.objective(self.model(x), y)
        if not isinstance(loss, Tensor) or loss.size != 1:
            given = f"a Tensor of shape {list(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
            raise ConfigError(
                f"loss={self.config.loss}: gave {given}, expected a Tensor of one number; reduce it, e.g. .mean()"
            )
        loss = loss.reshape(())
        if self.config.l2 is not None:
            loss = loss + l2_penalty(params, self.config.l2, self.penalized)
        return loss

    @no_grad()
    def compute_gradient(self, loss: Tensor, params: Tensor) -> Tensor:
        """The gradient of what training makes small, before clipping: [n]."""
        grads = self.parameters.gradient(loss)
        if self.config.l2 is not None:
            grads = grads + l2_gradient(params, self.config.l2, self.penalized)
        return grads

    @no_grad()
    def compute_update(
        self, grads: Tensor, params: Tensor, state: dict[str, Tensor], numbers: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The next parameters and optimizer state."""
        config = self.config
        if config.max_grad_norm is not None:
            grads = clip_by_global_norm(grads, config.max_grad_norm)
        updated, new_state = config.optimizer.update(grads, state, params, **numbers)
        if new_state.keys() != state.keys():
            raise ConfigError(
                f"the optimizer: update gives the state {', '.join(new_state) or 'nothing'}, and init "
                f"{', '.join(state) or 'nothing'}: expected the same names"
            )
        return updated, new_state

    def compute_metrics(self, output: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        """What the network's output on the validation examples tells."""
        metrics = {"val_loss": self.objective(output, y)}
        if self.has_classes:
            assert y is not None  # where there are classes, there are targets
            metrics["val_accuracy"] = F.accuracy(output, y)
        return metrics

    def compute_diagnostics(
        self, x: Tensor, y: Tensor | None, params: Tensor, state: dict[str, Tensor], numbers: dict[str, Any]
    ) -> dict[str, Tensor]:
        """What a step tells of itself, by column. It moves the network's buffers, as `compute_loss` does."""
        with record_outputs({**self.layers, "": self.model}) as outputs:
            loss = self.compute_loss(x, y, params)
        output = outputs.pop("")
        grads = self.compute_gradient(loss, params)
        updated, _ = self.compute_update(grads, params, state, numbers)
        frozen, parts = [*self.parameters.frozen.tensors.values()], self.parameters.split(grads)
        seen = diagnostics.Observed(params, updated, frozen, grads, parts, outputs, output, y)
        with no_grad():
            return diagnostics.compute(self.config.diagnostics, seen)

    def compute_curvature(self, x: Tensor, y: Tensor | None, params: Tensor, direction: Tensor) -> Tensor:
        """The Hessian of what training makes small times a direction: [n] -> [n]."""
        slopes = gradients(self.compute_loss(x, y, params), list(self.parameters.tensors.values()))
        along = self.parameters.split(direction).values()
        slope = F.concatenate([(g * v).sum().reshape(1) for g, v in zip(slopes, along, strict=True)]).sum()
        product = self.parameters.gradient(slope)
        if self.config.l2 is not None:
            with no_grad():
                product = product + l2_gradient(direction, self.config.l2, self.penalized)
        return product

    def inspect_hessian(self, product: Callable[[Array], Array]) -> dict[str, Array]:
        """What products with the Hessian tell, by column."""
        start = generator(self.config.seed, "hessian").normal(size=self.parameters.vector.size)
        found = diagnostics.compute_of_hessian(self.config.diagnostics, product, start)
        return {name: np.asarray(value, self.config.dtype) for name, value in found.items()}

    # One operation after the other

    def loss(self, k: int) -> Array:
        """The loss of step k: [] ; nothing changes until `update`."""
        before = self.buffers.vector.copy()
        self.model.train(self.config.seed, k)
        loss = self.compute_loss(*self.batch(k).tensors(), Tensor(self.parameters.vector))
        self._pending = loss, self.buffers.vector.copy()
        self.buffers.vector[...] = before  # not counted as a change: `update` puts back what the graph has seen
        return loss.numpy()

    def update(self, k: int) -> None:
        """Take step k, whose loss was computed last."""
        assert self._pending is not None
        loss, self.buffers.vector[...] = self._pending
        params, state, numbers = self._update_from(k)
        params, state = self.compute_update(self.compute_gradient(loss, params), params, state, numbers)
        for name, t in state.items():
            self.state[name][...] = t.numpy()
        self.parameters.assign(params.numpy())
        self._pending = None

    def _update_from(self, k: int) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Parameters, optimizer state and numbers that step k starts from."""
        state = {name: Tensor(vector) for name, vector in self.state.items()}
        numbers = {name: self.number(value) for name, value in self.numbers(k).items()}
        return Tensor(self.parameters.vector), state, numbers

    @no_grad()
    def evaluate(self) -> dict[str, Array]:
        """Metrics on the validation examples, where there are any."""
        if not len(self.val):
            return {}
        model = self.model.eval()
        outputs = [model(Tensor(self.val.x[block])).numpy() for block in row_blocks(self.val.x)]
        y = None if self.val.y is None else Tensor(self.val.y)
        return {name: t.numpy() for name, t in self.compute_metrics(Tensor(np.concatenate(outputs)), y).items()}

    def inspect(self, k: int) -> dict[str, Array]:
        """The diagnostics of step k, whose loss was computed last, by column; nothing changes."""
        if not self.diagnostics:
            return {}
        before = self.buffers.vector.copy()
        self.model.train(self.config.seed, k)
        x, y = self.batch(k).tensors()
        seen = self.compute_diagnostics(x, y, *self._update_from(k))
        self.buffers.vector[...] = before
        self.loss(k)  # anew: the buffers have moved since, and `update` walks its graph
        found = {name: t.numpy() for name, t in seen.items()} | self.inspect_hessian(self._curvature)
        return {name: found[name] for name in self.diagnostics if name in found}

    def _curvature(self, direction: Array) -> Array:
        self.model.eval()
        vectors = Tensor(self.parameters.vector), Tensor(direction.astype(self.config.dtype))
        return self.compute_curvature(*self.train[:].tensors(), *vectors).numpy()

    def diagnose(self, k: int) -> dict[str, Any]:
        """Where a loss that is not finite comes from: the first such operation, and the parameter behind it."""
        self.loss(k)
        assert self._pending is not None
        return _first_not_finite(self._pending[0], self.parameters.tensors)

    # What changes from step to step

    def flat(self) -> dict[str, FlatTensors]:
        """The network's parameters and buffers."""
        found = {"parameters": self.parameters, "frozen": self.parameters.frozen, "buffers": self.buffers}
        return {name: flat for name, flat in found.items() if flat.tensors}

    def vectors(self) -> dict[str, Array]:
        """Everything that a step reads and that the data and the config do not tell: a vector each."""
        network = {name: flat.vector for name, flat in self.flat().items()}
        return network | {f"state.{name}": vector for name, vector in self.state.items()}

    def move_to(self, vectors: dict[str, Array]) -> None:
        """Live in other arrays from now on, which hold the values of `vectors`."""
        for name, flat in self.flat().items():
            flat.move_to(vectors[name])
        self.state = {name: vectors[f"state.{name}"] for name in self.state}

    def arrays(self) -> dict[str, Array]:
        """The same by name, for a checkpoint; views."""
        kinds = {"parameters": "parameters", "frozen": "parameters", "buffers": "buffers"}
        arrays = {
            f"{kinds[k]}/{key}": v for k, flat in self.flat().items() for key, v in flat.split(flat.vector).items()
        }
        return arrays | {f"optimizer/{key}": vector for key, vector in self.state.items()}

    def restore(self, arrays: dict[str, Array]) -> None:
        """Take the values of `arrays()` of another time. Raises ValueError, and changes nothing, for other arrays."""
        own = self.arrays()
        wrong = describe_mismatch(own, arrays)
        for key, view in own.items():
            if not wrong and arrays[key].dtype != view.dtype:
                wrong = f"{key} of type {arrays[key].dtype}, expected {view.dtype}"
        if wrong:
            raise ValueError(wrong)
        for key, view in own.items():
            view[...] = arrays[key]
        for flat in self.flat().values():
            flat.assign(flat.vector)


def _first_not_finite(loss: Tensor, parameters: dict[str, Tensor]) -> dict[str, Any]:
    broken = [name for name, p in parameters.items() if not np.isfinite(p.data).all()]
    names = {id(p): name for name, p in parameters.items()}
    operation, parameter = None, broken[0] if broken else None
    for node in reversed(topological_order(loss)) if loss.requires_grad else ():
        if node.primitive is not None and not np.isfinite(node.data).all():
            operation = node.primitive.name
            behind = [names[id(t)] for t in topological_order(node) if id(t) in names]
            parameter = parameter or (behind[0] if behind else None)
            break
    return {"first_operation": operation, "first_parameter": parameter}
