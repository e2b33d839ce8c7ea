"""What a run's step computes as tapes, of inputs that have the names of what they are.

Functions of several steps, the runs of a stack, give a tape for each: the first is traced twice, to see that it does
the same again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from minitrain.autograd.functional.arrays import concatenate
from minitrain.autograd.graph import no_grad
from minitrain.autograd.tensor import Tensor
from minitrain.compiler.tape import Tape
from minitrain.compiler.tracing import Tracer, trace_once, trace_twice
from minitrain.data import RowsOnDisk
from minitrain.training.training_step import TrainingStep
from minitrain.typing import Array

Outputs = Mapping[str, Tensor]


Taken = tuple[Tensor, Tensor | None, Tensor, dict[str, Tensor], dict[str, Tensor]]


def training_tape(step: TrainingStep, checked: bool = False) -> Tape:
    """The whole step as a tape: batch, loss, gradients, update; what changes from step to step is an input.

    checked: a step of the same structure was traced before, so that this one need not be traced twice
    Raises TracingError where it looks at a value from Python, or is another at the next step.
    """
    first = partial(_training, step, 0)
    return trace_once(first) if checked else trace_twice(first, partial(_training, step, 1))


def diagnostics_tapes(steps: Sequence[TrainingStep]) -> list[Tape]:
    """What a step tells of itself: inputs as those of training."""
    first = trace_twice(partial(_diagnostics, steps[0], 0), partial(_diagnostics, steps[0], 1))
    return [first, *[trace_once(partial(_diagnostics, step, 0)) for step in steps[1:]]]


def curvature_tapes(steps: Sequence[TrainingStep]) -> list[Tape]:
    """The product of the Hessian with the input `direction`, over all training examples."""

    def trace(step: TrainingStep, tracer: Tracer) -> Outputs:
        params = _enter(step, tracer)
        direction = tracer.input("direction", Tensor(step.parameters.vector))
        step.model.eval()
        return {"product": step.compute_curvature(*_examples(step, tracer), params, direction)}

    return _traced(trace, steps)


def output_tapes(steps: Sequence[TrainingStep], x: Array) -> list[Tape]:
    """The network's output for the input `x_val`, as many examples as x has."""

    def trace(step: TrainingStep, tracer: Tracer) -> Outputs:
        _enter(step, tracer)
        with no_grad():
            return {"output": step.model.eval()(tracer.input("x_val", Tensor(x)))}

    return _traced(trace, steps)


def metrics_tapes(steps: Sequence[TrainingStep], output: Array) -> list[Tape]:
    """What the input `output`, shaped as the given one, tells."""

    def trace(step: TrainingStep, tracer: Tracer) -> Outputs:
        one = tracer.input("output", Tensor(output))
        y = None if step.val.y is None else tracer.input("y_val", Tensor(step.val.y))
        with no_grad():
            return step.compute_metrics(one, y)

    return _traced(trace, steps)


def _traced(fn: Callable[[TrainingStep, Tracer], Outputs], steps: Sequence[TrainingStep]) -> list[Tape]:
    first = partial(fn, steps[0])
    return [trace_twice(first, first), *[trace_once(partial(fn, step)) for step in steps[1:]]]


def _training(step: TrainingStep, k: int, tracer: Tracer) -> Outputs:
    with _taking(step, k, tracer) as (x, y, params, state, numbers):
        loss = step.compute_loss(x, y, params)
        updated, new_state = step.compute_update(step.compute_gradient(loss, params), params, state, numbers)
        outputs = {"loss": loss, "parameters": updated, **{f"state.{name}": t for name, t in new_state.items()}}
        if step.buffers.tensors:
            with no_grad():
                outputs["buffers"] = concatenate([t.reshape(-1) for t in step.buffers.tensors.values()])
        return outputs


def _diagnostics(step: TrainingStep, k: int, tracer: Tracer) -> Outputs:
    with _taking(step, k, tracer) as taken:
        return step.compute_diagnostics(*taken)


@contextmanager
def _taking(step: TrainingStep, k: int, tracer: Tracer) -> Iterator[Taken]:
    """Examples, parameters, optimizer state and numbers of step k as inputs; the network is afterwards as it was."""
    before = step.buffers.vector.copy()
    params = _enter(step, tracer)
    state = {name: tracer.input(f"state.{name}", Tensor(vector)) for name, vector in step.state.items()}
    x, y = _batch(step, k, tracer)
    numbers = {name: tracer.input(f"optimizer.{name}", step.number(v)) for name, v in step.numbers(k).items()}
    layers = step.model.train(step.config.seed, k).random_layers()
    for name, layer in layers.items():
        layer.rng = tracer.generator(name, layer.rng)  # type: ignore[arg-type, assignment]  # stands in for it
    try:
        yield x, y, params, state, numbers
    finally:
        step.buffers.assign(before)
        step.model.train(step.config.seed, k)


def _enter(step: TrainingStep, tracer: Tracer) -> Tensor:
    """Let the network's parameters and buffers be parts of inputs, and give the vector that is trained."""
    vectors = {}
    for name, flat in step.flat().items():
        vectors[name] = tracer.input(name, Tensor(flat.vector))
        for key, part in flat.split(vectors[name]).items():
            tracer.alias(flat.tensors[key], part)
    return vectors["parameters"]


def _batch(step: TrainingStep, k: int, tracer: Tracer) -> tuple[Tensor, Tensor | None]:
    """The examples of a step: picked by number where the data lies in memory, else read from disk before each step."""
    rows = step.rows(k)
    if isinstance(step.train.x, RowsOnDisk):
        x, y = step.batch(k).tensors()
        return tracer.input("x", x), None if y is None else tracer.input("y", y)
    x, y = _examples(step, tracer)
    if rows is None:
        return x, y
    picked = tracer.input("rows", Tensor(rows))
    return x.take(picked), None if y is None else y.take(picked)


def _examples(step: TrainingStep, tracer: Tracer) -> tuple[Tensor, Tensor | None]:
    """All training examples."""
    x, y = step.train.tensors()
    return tracer.input("x_train", x), None if y is None else tracer.input("y_train", y)
