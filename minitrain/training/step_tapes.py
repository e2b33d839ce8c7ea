"""Tracing the functions of a `TrainingStep` to tapes, whose inputs are named after what they hold.

Functions of several steps return a tape for each run of a group. The first run is traced twice, to check that its
operations and constants do not change from step to step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from minitrain.autograd.functional.arrays import concatenate
from minitrain.autograd.graph import no_grad
from minitrain.autograd.tensor import Tensor
from minitrain.compiler.tape import Tape
from minitrain.compiler.tracing import Tracer, trace_once, trace_twice
from minitrain.data import RowsOnDisk
from minitrain.training.training_step import TrainingStep
from minitrain.typing import Array

Outputs = Mapping[str, Tensor]


class StepInputs(NamedTuple):
    """The inputs of a training step, traced."""

    x: Tensor
    y: Tensor | None
    params: Tensor
    state: dict[str, Tensor]
    scalars: dict[str, Tensor]


def training_tape(step: TrainingStep, checked: bool = False) -> Tape:
    """Trace a whole training step: batch, loss, gradients and update.

    Args:
        step: The step of one run.
        checked: Whether a step of the same structure was traced twice before, so that this one is traced once.

    Raises:
        TracingError: The step uses a value in Python, or its operations or constants change from step to step.
    """
    first = partial(_trace_training, step, 0)
    return trace_once(first) if checked else trace_twice(first, partial(_trace_training, step, 1))


def diagnostics_tapes(steps: Sequence[TrainingStep]) -> list[Tape]:
    """Trace the diagnostics of a step; the inputs are those of the training tape."""
    first = trace_twice(partial(_trace_diagnostics, steps[0], 0), partial(_trace_diagnostics, steps[0], 1))
    return [first, *[trace_once(partial(_trace_diagnostics, step, 0)) for step in steps[1:]]]


def hessian_tapes(steps: Sequence[TrainingStep]) -> list[Tape]:
    """Trace the product of the Hessian, over all training examples, with the input `direction`."""

    def trace(step: TrainingStep, tracer: Tracer) -> Outputs:
        params = _enter_network(step, tracer)
        direction = tracer.input("direction", Tensor(step.parameters.vector))
        step.model.eval()
        return {"product": step.compute_hessian_product(*_enter_all_examples(step, tracer), params, direction)}

    return _trace_all(trace, steps)


def output_tapes(steps: Sequence[TrainingStep], x: Array) -> list[Tape]:
    """Trace the network in evaluation mode on the input `x_val`, which has the shape of x: [examples, inputs]."""

    def trace(step: TrainingStep, tracer: Tracer) -> Outputs:
        _enter_network(step, tracer)
        with no_grad():
            return {"output": step.model.eval()(tracer.input("x_val", Tensor(x)))}

    return _trace_all(trace, steps)


def metrics_tapes(steps: Sequence[TrainingStep], output: Array) -> list[Tape]:
    """Trace the validation metrics of the input `output`, which has the shape of the argument."""

    def trace(step: TrainingStep, tracer: Tracer) -> Outputs:
        output_of_run = tracer.input("output", Tensor(output))
        y = None if step.val.y is None else tracer.input("y_val", Tensor(step.val.y))
        with no_grad():
            return step.compute_metrics(output_of_run, y)

    return _trace_all(trace, steps)


def _trace_all(fn: Callable[[TrainingStep, Tracer], Outputs], steps: Sequence[TrainingStep]) -> list[Tape]:
    first = partial(fn, steps[0])
    return [trace_twice(first, first), *[trace_once(partial(fn, step)) for step in steps[1:]]]


def _trace_training(step: TrainingStep, k: int, tracer: Tracer) -> Outputs:
    with _entered_step(step, k, tracer) as (x, y, params, state, scalars):
        loss = step.compute_loss(x, y, params)
        updated, new_state = step.compute_update(step.compute_gradient(loss, params), params, state, scalars)
        outputs = {"loss": loss, "parameters": updated, **{f"state.{name}": t for name, t in new_state.items()}}
        if step.buffers.tensors:
            with no_grad():
                outputs["buffers"] = concatenate([t.reshape(-1) for t in step.buffers.tensors.values()])
        return outputs


def _trace_diagnostics(step: TrainingStep, k: int, tracer: Tracer) -> Outputs:
    with _entered_step(step, k, tracer) as inputs:
        return step.compute_diagnostics(*inputs)


@contextmanager
def _entered_step(step: TrainingStep, k: int, tracer: Tracer) -> Iterator[StepInputs]:
    """Enter all inputs of step k into the tracer; the network's state is restored at the end."""
    initial_buffers = step.buffers.vector.copy()
    params = _enter_network(step, tracer)
    state = {name: tracer.input(f"state.{name}", Tensor(vector)) for name, vector in step.state.items()}
    x, y = _enter_batch(step, k, tracer)
    scalars = {name: tracer.input(f"optimizer.{name}", step.as_tensor(v)) for name, v in step.scalars(k).items()}
    for name, layer in step.model.train(step.config.seed, k).random_layers().items():
        layer.rng = tracer.generator(name, layer.rng)  # type: ignore[arg-type, assignment]  # records the draws
    try:
        yield StepInputs(x, y, params, state, scalars)
    finally:
        step.buffers.assign(initial_buffers)
        step.model.train(step.config.seed, k)


def _enter_network(step: TrainingStep, tracer: Tracer) -> Tensor:
    """Enter the network's flat vectors, of which its parameters and buffers are parts; returns the trained one."""
    vectors = {}
    for name, flat in step.flat_tensors().items():
        vectors[name] = tracer.input(name, Tensor(flat.vector))
        for key, part in flat.split(vectors[name]).items():
            tracer.alias(flat.tensors[key], part)
    return vectors["parameters"]


def _enter_batch(step: TrainingStep, k: int, tracer: Tracer) -> tuple[Tensor, Tensor | None]:
    """Enter the examples of a step: selected on the tape if the data is in memory, else read before each step."""
    rows = step.rows(k)
    if isinstance(step.train.x, RowsOnDisk):
        x, y = step.batch(k).tensors()
        return tracer.input("x", x), None if y is None else tracer.input("y", y)
    x, y = _enter_all_examples(step, tracer)
    if rows is None:
        return x, y
    indices = tracer.input("rows", Tensor(rows))
    return x._take(indices), None if y is None else y._take(indices)


def _enter_all_examples(step: TrainingStep, tracer: Tracer) -> tuple[Tensor, Tensor | None]:
    x, y = step.train.tensors()
    return tracer.input("x_train", x), None if y is None else tracer.input("y_train", y)
