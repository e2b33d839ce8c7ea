"""What a config asks for: the data, the network and the step, built and checked before anything is written."""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from minitrain.compiler.cost import largest_product
from minitrain.compiler.tracing import is_user_code
from minitrain.components import losses
from minitrain.config.schema import RunConfig
from minitrain.data import Dataset, RowsOnDisk
from minitrain.errors import ConfigError, TracingError
from minitrain.nn.activation import activation_layer
from minitrain.nn.module import Module
from minitrain.registry import REGISTRIES
from minitrain.training import diagnostics
from minitrain.training.compiled_engine import CompiledEngine
from minitrain.training.training_step import TrainingStep

# Floating-point operations of a product from which a second thread makes a step faster. Measured with digits and
# network.widths=[n,n] batch_size=n, one thread's time over two threads', two cores: float32 0.87 at n = 160, 0.98 at
# 192, 1.18 at 256, 1.41 at 384, 1.7 at 1024; float64 gains from 128 on, 1.3 at 256. Where products are smaller,
# waking the second thread takes longer than what it saves.
LARGE_PRODUCT = 2 * 256**3


@dataclass(frozen=True)
class Experiment:
    """What a config asks for, built and checked, with nothing written yet."""

    config: RunConfig
    data: Dataset
    model: Module
    loss: losses.Loss
    step: TrainingStep

    @cached_property
    def engine(self) -> TrainingStep | CompiledEngine:
        """What computes the steps of this run alone."""
        return self.step if self.config.engine == "eager" else CompiledEngine(self.step)

    @property
    def metrics(self) -> list[str]:
        """What the data lets an evaluation tell, what is judged by first."""
        validation = ["val_accuracy", "val_loss"] if self.data.classes is not None else ["val_loss"]
        return [*(validation if len(self.data.x_val) else []), "train_loss"]

    @property
    def metric(self) -> str:
        """What the best network is judged by."""
        return self.metrics[0] if self.config.monitor == "auto" else self.config.monitor

    @cached_property
    def blas_threads(self) -> int:
        """How many threads compute a matrix product: a number that was given, or what `auto` finds worth it."""
        if isinstance(self.config.blas_threads, int):
            return self.config.blas_threads
        assert isinstance(self.engine, CompiledEngine)
        return available_cores() if largest_product(self.engine.training.tape) >= LARGE_PRODUCT else 1

    def describe(self) -> str:
        """Two lines: the data; the network, its size, and how it is trained."""
        parameters = self.model.parameters()
        count, frozen = sum(p.size for p in parameters), sum(p.size for p in parameters if not p.requires_grad)
        size = f"{count:,} parameters" + (f", {frozen:,} of them frozen" if frozen else "")
        return (
            f"{_name('data', self.config.data)}: {self.data.describe()}\n"
            f"{self.describe_network()}: {size}; "
            f"{_name('optimizer', self.config.optimizer)}, lr {self.config.lr:g}"
        )

    def describe_network(self) -> str:
        outputs = self.loss.outputs(self.data)
        described: str = self.config.network.describe(self.data.inputs, outputs, self.config.activation)
        return described

    def describe_briefly(self) -> str:
        """One line for a figure."""
        config = self.config
        return (
            f"{self.describe_network()} on {_name('data', config.data)}, "
            f"{_name('optimizer', config.optimizer)} lr {config.lr:g}"
        )


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _name(group: str, component: Any) -> str:
    """The name that a component is registered by."""
    return next(name for name, cls in REGISTRIES[group].items() if cls is type(component))


def build_experiment(config: RunConfig, data: Dataset | None = None) -> Experiment:
    """Build what a run is made of, and its engine. Raises ConfigError for keys that do not go together.

    So does whatever a person's own component raises: it tells where.
    data: what `config.data` loads, where it is there already
    """
    try:
        experiment = assemble_experiment(config, data)
        _try(experiment)
        return experiment
    except (ConfigError, MemoryError):
        raise
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in where if is_user_code(frame.filename)]
        if not config.extensions:
            raise
        place = f"{Path(own[-1].filename).name} line {own[-1].lineno}" if own else "how it is called"
        advice = "; functions of minitrain.functional take Tensors" if "support ufuncs" in str(error) else ""
        raise ConfigError(f"a component of your own: {type(error).__name__}: {error} ({place}){advice}") from error


def assemble_experiment(config: RunConfig, data: Dataset | None = None) -> Experiment:
    """Load the data and build the network, without trying a step."""
    data = config.data.load() if data is None else data
    examples = len(data.x_train)
    if config.batch_size is not None and config.batch_size > examples:
        raise ConfigError(
            f"batch_size={config.batch_size}: expected at most {examples}, all training examples, or null"
        )
    if config.warmup is not None and config.warmup >= config.steps:
        raise ConfigError(f"warmup={config.warmup}: expected fewer than steps={config.steps}")
    if config.blas_threads == "auto" and config.engine == "eager":
        raise ConfigError("blas_threads=auto: looks at the compiled step; give a number, or set engine=numpy")
    activation, loss = (
        activation_layer(config.activation),
        losses.build_loss(config.loss, config.reduction, config.label_smoothing),
    )
    model = config.network.build(data.inputs, loss.outputs(data), activation, config.seed)
    experiment = Experiment(config, data, model, loss, TrainingStep(config, data, model, loss))
    _check_metrics(experiment)
    if config.monitor not in ("auto", *experiment.metrics):
        raise ConfigError(
            f"monitor={config.monitor}: the data gives {', '.join(experiment.metrics)}; choose one, or auto"
        )
    return experiment


def _check_metrics(experiment: Experiment) -> None:
    for name in experiment.config.diagnostics:
        kind = diagnostics.kind(name)
        if kind == "activation" and not experiment.step.layers:
            raise ConfigError(f"diagnostics=[{name}]: the network has no activation layer; leave it out")
        if kind == "classes" and experiment.data.classes is None:
            raise ConfigError(f"diagnostics=[{name}]: the data has no classes; leave it out")
        if kind == "hessian" and isinstance(experiment.data.x_train, RowsOnDisk):
            raise ConfigError(
                f"diagnostics=[{name}]: takes all training examples at once, and this data lies on disk; leave it out"
            )


def _try(experiment: Experiment) -> None:
    """Compile a step, or take one and undo it, so that what does not fit is told before anything is written."""
    config, step = experiment.config, experiment.step
    try:
        with np.errstate(all="ignore"):
            step.numbers(0)
            if experiment.engine is step:
                before = {name: array.copy() for name, array in step.arrays().items()}
                step.loss(0)
                step.update(0)
                step.restore(before)
            experiment.engine.evaluate()
            if config.diagnostics:
                experiment.engine.loss(0)
                experiment.engine.inspect(0)
    except TracingError as error:
        raise ConfigError(f"engine={config.engine}: {error}") from error
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"network={_name('network', config.network)}: {error}") from error
