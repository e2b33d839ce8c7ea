"""What a training step of one run computes, as functions of Tensors, and the parameters and state that it changes.

Engines execute these functions: the eager engine calls them, and the compiled engine traces them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minitrain.autograd import functional as F
from minitrain.autograd.flat import FlatParameters, FlatTensors
from minitrain.autograd.grad import gradients
from minitrain.autograd.graph import no_grad
from minitrain.autograd.tensor import Tensor
from minitrain.components import losses
from minitrain.config.schema import RunConfig
from minitrain.data import Dataset, RowsOnDisk
from minitrain.errors import ConfigError
from minitrain.nn.activation import activation_layers
from minitrain.nn.module import Module, describe_mismatch, record_outputs
from minitrain.optim.gradient_transforms import clip_by_global_norm, l2_gradient, l2_penalty
from minitrain.optim.schedules import ScheduleState, schedule_factor, schedule_for_run
from minitrain.rng import generator
from minitrain.training import diagnostics
from minitrain.training.metrics import Evaluation, are_predictions
from minitrain.typing import Array

BATCH_OUTPUT = "batch output"


@dataclass(frozen=True)
class Examples:
    """Inputs and targets in the dtype of a run.

    Attributes:
        x: Inputs: [examples, inputs]; `RowsOnDisk` if they are on disk.
        y: Targets: integer classes [examples], truth values of labels [examples, labels], or numbers
            [examples, outputs]; None if the data has no targets.
    """

    x: Array | RowsOnDisk
    y: Array | None

    def __len__(self) -> int:
        return len(self.x)

    def astype(self, dtype: str) -> Examples:
        """Convert inputs and floating-point targets; classes remain integers, and labels truth values."""
        y = self.y
        return Examples(self.x.astype(dtype), y.astype(dtype) if y is not None and y.dtype.kind == "f" else y)

    def __getitem__(self, rows: Array | slice) -> Examples:
        return Examples(self.x[rows], None if self.y is None else self.y[rows])

    def tensors(self) -> tuple[Tensor, Tensor | None]:
        """Inputs and targets as Tensors."""
        return Tensor(self.x[:]), None if self.y is None else Tensor(self.y)


class TrainingStep:
    """The training step of one run, and the state that it changes.

    Args:
        config: The config of the run.
        data: The dataset.
        model: The network; its parameters and buffers become views of flat vectors.
        loss: The loss.

    Attributes:
        train: The training examples.
        val: The validation examples; there may be none.
        parameters: The network's parameters.
        buffers: The network's buffers, such as running statistics.
        state: The state of the optimizer: name -> vector [n].
        metrics: The columns of metrics.csv that `measure` fills.
        batch_metrics: Those that `measure_batch` fills.
        preprocessing: How the examples were encoded.
        schedule: The learning-rate schedule of the run.
        layers: The activation layers of the network, by name.
        diagnostics: The columns of metrics.csv that the config's `diagnostics` add.
    """

    def __init__(self, config: RunConfig, data: Dataset, model: Module, loss: losses.Loss) -> None:
        self.config, self.model, self.objective = config, model, loss
        self.train = Examples(data.x_train, data.y_train).astype(config.dtype)
        self.val = Examples(data.x_val, data.y_val).astype(config.dtype)
        self.preprocessing, self._train_targets, self._val_targets = data.preprocessing, data.y_train, data.y_val
        self.metrics = diagnostics.validation_metrics([*config.diagnostics, config.monitor], data.preprocessing)
        self.batch_metrics = diagnostics.batch_metrics(config.diagnostics)
        self.parameters = FlatParameters(model.named_parameters(), config.dtype)
        self.buffers = FlatTensors(model.named_buffers(), config.dtype)
        params = Tensor(self.parameters.vector)
        self.state: dict[str, Array] = {name: t.numpy() for name, t in config.optimizer.init(params).items()}
        self.schedule = schedule_for_run(config.schedule, config.lr)
        self.penalized = self.parameters.weights if config.l2_on == "weights" else self.parameters.vector.size
        self.layers = activation_layers(model)
        trained = [name for name, p in model.named_parameters().items() if p.requires_grad]
        self.diagnostics = diagnostics.columns(config.diagnostics, trained, self.layers)
        self._order: tuple[int, Array] = (-1, np.empty(0, np.intp))  # an epoch, and its order of the examples

    # Inputs of a step: functions of the config and the step alone

    @property
    def steps_per_epoch(self) -> int:
        """The number of full batches; a last partial batch is dropped."""
        return len(self.train) // (self.config.batch_size or len(self.train))

    def locate_batch(self, k: int) -> tuple[int, slice]:
        """The epoch of step k, and the position of its batch in the epoch's order."""
        size = self.config.batch_size or len(self.train)
        epoch, position = divmod(k, self.steps_per_epoch)
        return epoch, slice(position * size, (position + 1) * size)

    def order(self, epoch: int) -> Array:
        """The indices of all training examples in the order in which an epoch uses them: [examples]."""
        return generator(self.config.seed, "shuffle", epoch).permutation(len(self.train))

    def rows(self, k: int) -> Array | None:
        """The indices of the examples of step k: [batch]; None if a step uses all of them."""
        if self.config.batch_size is None:
            return None
        epoch, batch = self.locate_batch(k)
        if self._order[0] != epoch:
            self._order = epoch, self.order(epoch)
        return self._order[1][batch]

    def batch(self, k: int) -> Examples:
        """The examples of step k."""
        rows = self.rows(k)
        return self.train[:] if rows is None else self.train[rows]

    def learning_rate(self, k: int) -> float:
        """The learning rate of step k."""
        config = self.config
        return float(config.lr * schedule_factor(self.schedule, config.warmup, k, config.steps))

    def scalars(self, k: int) -> dict[str, float]:
        """The scalar arguments of the optimizer's update at step k, by name."""
        return {"lr": self.learning_rate(k), **self.config.optimizer.coefficients(k)}

    def as_tensor(self, value: float) -> Tensor:
        """A scalar in the dtype of the vectors that it is combined with, as every engine takes it."""
        return Tensor(np.asarray(value, self.config.dtype))

    # What a step computes

    def compute_loss(self, x: Tensor, y: Tensor | None, params: Tensor) -> Tensor:
        """The training objective: [batch, inputs], [batch, ...], [n] -> [].

        The network's buffers are updated. The L2 penalty is a constant in the graph: `compute_gradient` adds its
        gradient, which takes one operation on the flat vector.

        Raises:
            ConfigError: The loss is not a Tensor of one number.
        """
        loss = self.objective(self.model(x), y)
        if not isinstance(loss, Tensor) or loss.size != 1:
            actual = f"a Tensor of shape {list(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
            raise ConfigError(
                f"loss={self.config.loss}: returned {actual}, expected a Tensor of one number; reduce it, e.g. .mean()"
            )
        loss = loss.reshape(())
        if self.config.l2 is not None:
            loss = loss + l2_penalty(params, self.config.l2, self.penalized)
        return loss

    @no_grad()
    def compute_gradient(self, loss: Tensor, params: Tensor) -> Tensor:
        """The gradient of the training objective, before clipping: [], [n] -> [n]."""
        grads = self.parameters.gradient(loss)
        if self.config.l2 is not None:
            grads = grads + l2_gradient(params, self.config.l2, self.penalized)
        return grads

    @no_grad()
    def compute_update(
        self, grads: Tensor, params: Tensor, state: Mapping[str, Tensor], scalars: Mapping[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The next parameters and optimizer state; `scalars` are 0-d Tensors here, and numbers in hand-written loops.

        Raises:
            ConfigError: The optimizer's `update` returns a state with other names than `init`.
        """
        config = self.config
        if config.max_grad_norm is not None:
            grads = clip_by_global_norm(grads, config.max_grad_norm)
        updated, new_state = config.optimizer.update(grads, dict(state), params, **scalars)
        if new_state.keys() != state.keys():
            raise ConfigError(
                f"the optimizer: update returns the state {', '.join(new_state) or 'nothing'}, and init "
                f"{', '.join(state) or 'nothing'}: expected the same names"
            )
        return updated, new_state

    def compute_metrics(self, output: Tensor, y: Tensor | None) -> dict[str, Tensor]:
        """Metrics of the network's output on the validation examples: [examples, outputs] -> [] each."""
        metrics = {"val_loss": self.objective(output, y)}
        if self.preprocessing.has_labels and y is not None:
            metrics["val_accuracy"] = F.accuracy(output, y)
        return metrics

    def measure(self, output: Array) -> dict[str, float]:
        """The further metrics of the network's output on the validation examples, by column: [examples, outputs].

        Raises:
            ConfigError: A metric is requested, and the outputs are not predictions of the targets.
        """
        if not self.metrics or not self._check_predictions(output, self.metrics):
            return {}
        return _evaluate(self.metrics, self.evaluation(output))

    def measure_batch(self, k: int, output: Array) -> dict[str, float]:
        """The metrics of the network's output on the batch of step k, by column: [batch, outputs].

        Raises:
            ConfigError: The outputs are not predictions of the targets.
        """
        targets, rows = self._train_targets, self.rows(k)
        if targets is None or not self._check_predictions(output, self.batch_metrics):
            return {}
        evaluation = Evaluation(output, targets if rows is None else targets[rows], self.preprocessing)
        return _evaluate(self.batch_metrics, evaluation)

    def _check_predictions(self, output: Array, metrics: Sequence[str]) -> bool:
        """Whether outputs are predictions of the targets; an error if a metric that requires them is requested."""
        if are_predictions(output, self.preprocessing):
            return True
        if requested := {*self.config.diagnostics, self.config.monitor} & {*metrics}:
            raise ConfigError(
                f"{min(requested)}: the outputs of the network, {list(output.shape[1:])} for each example, are no "
                "predictions of the target; leave it out of diagnostics and monitor"
            )
        return False

    def evaluation(self, output: Array) -> Evaluation:
        """The network's predictions of the validation examples beside their targets: [examples, outputs].

        Raises:
            ValueError: There are no targets.
        """
        if self._val_targets is None:
            raise ValueError("evaluation: the data has no targets")
        return Evaluation(output, self._val_targets, self.preprocessing)

    def compute_diagnostics(
        self,
        x: Tensor,
        y: Tensor | None,
        params: Tensor,
        state: Mapping[str, Tensor],
        scalars: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        """The diagnostics of a step, by column, except those of the Hessian: [] each. Buffers are updated.

        `BATCH_OUTPUT` is the output of the network, [batch, outputs], if `measure_batch` needs it.
        """
        with record_outputs({**self.layers, "": self.model}) as outputs:
            loss = self.compute_loss(x, y, params)
        output = outputs.pop("")
        grads = self.compute_gradient(loss, params)
        updated, _ = self.compute_update(grads, params, state, scalars)
        observation = diagnostics.StepObservation(
            params=params,
            updated=updated,
            frozen=list(self.parameters.frozen.tensors.values()),
            gradient=grads,
            gradients=self.parameters.split(grads),
            outputs=outputs,
            output=output,
            target=y,
        )
        with no_grad():
            values = diagnostics.compute(self.config.diagnostics, observation)
        return values | ({BATCH_OUTPUT: output.detach()} if self.batch_metrics else {})

    def compute_hessian_product(self, x: Tensor, y: Tensor | None, params: Tensor, direction: Tensor) -> Tensor:
        """The product of the Hessian of the training objective with a direction: [n] -> [n].

        H v is the gradient of the directional derivative g v (Pearlmutter 1994, "Fast exact multiplication by the
        Hessian").
        """
        grads = gradients(self.compute_loss(x, y, params), list(self.parameters.tensors.values()))
        parts = self.parameters.split(direction).values()
        slope = F.concatenate([(g * v).sum().reshape(1) for g, v in zip(grads, parts, strict=True)]).sum()
        product = self.parameters.gradient(slope)
        if self.config.l2 is not None:
            with no_grad():
                product = product + l2_gradient(direction, self.config.l2, self.penalized)
        return product

    def inspect_hessian(self, product: Callable[[Array], Array]) -> dict[str, Array]:
        """The diagnostics of the Hessian, by column, from products with it: [] each.

        Args:
            product: The product with a direction: [n] -> [n].
        """
        start = generator(self.config.seed, "hessian").normal(size=self.parameters.vector.size)
        values = diagnostics.compute_of_hessian(self.config.diagnostics, product, start)
        return {name: np.asarray(value, self.config.dtype) for name, value in values.items()}

    # What changes from step to step

    def flat_tensors(self) -> dict[str, FlatTensors]:
        """The network's trained parameters, frozen parameters and buffers; empty ones are left out."""
        kinds = {"parameters": self.parameters, "frozen": self.parameters.frozen, "buffers": self.buffers}
        return {name: flat for name, flat in kinds.items() if flat.tensors}

    def vectors(self) -> dict[str, Array]:
        """Everything that a step reads besides the data and the config: name -> vector [n]."""
        network = {name: flat.vector for name, flat in self.flat_tensors().items()}
        return network | {f"state.{name}": vector for name, vector in self.state.items()}

    def rebind(self, vectors: Mapping[str, Array]) -> None:
        """Rebind the storage to other arrays, which hold the values of `vectors()`."""
        for name, flat in self.flat_tensors().items():
            flat.move_to(vectors[name])
        self.state = {name: vectors[f"state.{name}"] for name in self.state}

    def arrays(self) -> dict[str, Array]:
        """Everything that changes from step to step, by the names of a checkpoint: `parameters/0.weight`; views."""
        prefixes = {"parameters": "parameters", "frozen": "parameters", "buffers": "buffers"}
        arrays = {
            f"{prefixes[kind]}/{name}": view
            for kind, flat in self.flat_tensors().items()
            for name, view in flat.split(flat.vector).items()
        }
        arrays |= {f"optimizer/{name}": vector for name, vector in self.state.items()}
        return arrays | ({"schedule": self.schedule.array} if isinstance(self.schedule, ScheduleState) else {})

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Set the state to that of `arrays()` at another time.

        Raises:
            ValueError: Names, shapes or dtypes do not match; nothing is changed.
        """
        views = self.arrays()
        mismatch = describe_mismatch(views, arrays)
        for name, view in views.items():
            if not mismatch and arrays[name].dtype != view.dtype:
                mismatch = f"{name} of type {arrays[name].dtype}, expected {view.dtype}"
        if mismatch:
            raise ValueError(mismatch)
        for name, view in views.items():
            view[...] = arrays[name]
        for flat in self.flat_tensors().values():
            flat.assign(flat.vector)


def _evaluate(names: Sequence[str], evaluation: Evaluation) -> dict[str, float]:
    return {name: diagnostics.DIAGNOSTICS[name].function(evaluation) for name in names}
