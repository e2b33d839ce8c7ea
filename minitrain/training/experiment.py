"""Experiments: the data, network and training step of a config, built and validated before anything is written."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import SupportsFloat

import numpy as np

from minitrain.compiler.cost import largest_product
from minitrain.compiler.tracing import is_user_code
from minitrain.components import losses
from minitrain.components.networks import LayerNetworkConfig, NetworkConfig
from minitrain.config.schema import MONITORS, RunConfig
from minitrain.data import Dataset, RowsOnDisk
from minitrain.data.preprocessing import Preprocessing
from minitrain.errors import ConfigError, TracingError, abbreviate, plural
from minitrain.nn.activation import activation_layer
from minitrain.nn.module import Module
from minitrain.optim.schedules import ScheduleState
from minitrain.registry import REGISTRIES
from minitrain.storage.metric import Metric
from minitrain.training import diagnostics
from minitrain.training.compiled_engine import CompiledEngine
from minitrain.training.eager_engine import EagerEngine
from minitrain.training.engine import Engine
from minitrain.training.training_step import TrainingStep

# Floating-point operations of a matrix product from which a second thread makes a step faster. Measured with digits and
# network.widths=[n,n] batch_size=n, time of one thread over that of two, on two cores: float32 0.87 at n = 160, 0.98 at
# 192, 1.18 at 256, 1.41 at 384, 1.7 at 1024; float64 gains from 128, 1.3 at 256. For smaller products, waking a thread
# takes longer than it saves.
LARGE_PRODUCT = 2 * 256**3


@dataclass(frozen=True)
class Experiment:
    """A config with everything that it describes, built and validated.

    Attributes:
        config: The config.
        data: The dataset.
        model: The network.
        loss: The loss.
        step: The training step, which holds the parameters and the optimizer state.
    """

    config: RunConfig
    data: Dataset
    model: Module
    loss: losses.Loss
    step: TrainingStep

    @cached_property
    def engine(self) -> Engine:
        """The engine that the config selects, for this run alone."""
        return self.eager_engine if self.config.engine == "eager" else self.compiled_engine

    @cached_property
    def eager_engine(self) -> EagerEngine:
        """An eager engine for this run."""
        return EagerEngine(self.step)

    @cached_property
    def compiled_engine(self) -> CompiledEngine:
        """A compiled engine for this run alone."""
        return CompiledEngine(self.step)

    @property
    def monitors(self) -> list[str]:
        """The metrics that `monitor` may name with this data, the default first."""
        if not len(self.data.x_val):
            return ["train_loss"]
        preprocessing = self.data.preprocessing
        metrics = [name for name in MONITORS if name in diagnostics.DIAGNOSTICS]
        suitable = [name for name in metrics if not diagnostics.unsuitable(diagnostics.kind_of(name), preprocessing)]
        standard = ["val_accuracy", "val_loss"] if preprocessing.has_labels else ["val_loss"]
        return [*standard, *suitable, "train_loss"]

    @property
    def monitor(self) -> Metric:
        """The metric that the best network is selected by."""
        return Metric.named(self.monitors[0] if self.config.monitor == "auto" else self.config.monitor)

    def observe(self, step: int, metrics: Mapping[str, SupportsFloat]) -> None:
        """Let an adaptive schedule observe the monitored metric of an evaluation.

        The evaluation of the last step counts only if `eval_every` requests it: a longer run does not have it.
        """
        schedule = self.step.schedule
        if isinstance(schedule, ScheduleState) and step % self.config.eval_every == 0:
            schedule.observe(step, float(metrics[self.monitor.name]), self.monitor.higher_is_better)

    @cached_property
    def blas_threads(self) -> int:
        """The number of threads of a matrix product; `auto` uses all cores if a step has large products."""
        if isinstance(self.config.blas_threads, int):
            return self.config.blas_threads
        return available_cores() if largest_product(self.compiled_engine.training.tape) >= LARGE_PRODUCT else 1

    def describe(self) -> str:
        """Describe the data, and the network, its size and its optimizer, in two lines."""
        parameters = self.model.parameters()
        count, frozen = sum(p.size for p in parameters), sum(p.size for p in parameters if not p.requires_grad)
        size = f"{count:,} parameters" + (f", {frozen:,} of them frozen" if frozen else "")
        return (
            f"{_name('data', self.config.data)}: {self.data.describe()}\n"
            f"{describe_network(self.config, self.data.preprocessing)}: {size}; "
            f"{_name('optimizer', self.config.optimizer)}, lr {self.config.lr:g}"
        )

    def warnings(self) -> list[str]:
        """What may make the results worse than they could be, one line each."""
        preprocessing, y = self.data.preprocessing, self.data.y_train
        if preprocessing.multilabel and y is not None:
            missing = [label for label, count in zip(preprocessing.labels, y.sum(axis=0), strict=True) if not count]
            noun = "label" if len(missing) == 1 else "labels"
            advice = f"{noun} without a training example, which cannot be learned"
            return [f"{advice}: {abbreviate(', '.join(missing))}"] if missing else []
        labels, counts = preprocessing.labels, self.data.class_counts
        held_out = self.data.held_out_class_counts
        classes = list(zip(labels, counts, held_out, strict=True)) if counts else []
        missing = [f"{label} ({plural(others, 'example')})" for label, count, others in classes if not count]
        single = [label for label, count, others in classes if count == 1 and not others]
        lines = []
        if missing:
            noun = "class" if len(missing) == 1 else "classes"
            lines.append(
                f"{noun} without a training example, which cannot be learned: {abbreviate(', '.join(missing))}"
            )
        if single and any(held_out):
            noun = "class" if len(single) == 1 else "classes"
            lines.append(
                f"{noun} with one example, which is for training, so that no score includes it: "
                f"{abbreviate(', '.join(single))}"
            )
        return lines

    def describe_briefly(self) -> str:
        """Describe the experiment in one line, for figures."""
        return describe_briefly(self.config, self.data.preprocessing)


def describe_network(config: RunConfig, preprocessing: Preprocessing) -> str:
    """Describe the network of a run: `mlp 64-32-10, relu`."""
    outputs = loss_of(config).outputs(preprocessing)
    network = _network_for(config, preprocessing)
    description: str = network.describe(preprocessing.inputs, outputs, config.activation)
    return description


def describe_briefly(config: RunConfig, preprocessing: Preprocessing) -> str:
    """Describe a run in one line, for figures."""
    return (
        f"{describe_network(config, preprocessing)} on {_name('data', config.data)}, "
        f"{_name('optimizer', config.optimizer)} lr {config.lr:g}"
    )


def loss_of(config: RunConfig) -> losses.Loss:
    """The loss of a run with its options, of which `class_weight` changes neither the outputs nor the probabilities.

    Raises:
        ConfigError: The loss does not have an option.
    """
    return losses.build_loss(config.loss, **config.loss_options)


def weighted_loss(config: RunConfig, preprocessing: Preprocessing, class_counts: Sequence[int]) -> losses.Loss:
    """The loss of a run with the weight of each class that `class_weight` describes.

    Args:
        config: The config of the run.
        preprocessing: Describes the targets.
        class_counts: The number of training examples of each class, which `class_weight=balanced` depends on.

    Raises:
        ConfigError: The loss does not have an option, or is not suitable for the data.
    """
    loss = loss_of(config)
    if not preprocessing.has_target or config.class_weight is None:
        return loss
    loss.outputs(preprocessing)  # most losses that have weights require classes, and say so
    if preprocessing.classes is None:
        problem = f"is for one class per example, and the data has {preprocessing.describe_target()}"
        if not preprocessing.multilabel:
            problem = "the data has no classes"
        raise ConfigError(f"class_weight={abbreviate(config.class_weight)}: {problem}; set class_weight=null")
    weights = losses.class_weights(config.class_weight, preprocessing.labels, class_counts)
    return losses.build_loss(config.loss, **(config.loss_options | {"class_weight": weights}))


def without_initial_weights(config: RunConfig) -> RunConfig:
    """The config without the file of initial weights, for a network whose weights come from a checkpoint."""
    if isinstance(config.network, LayerNetworkConfig):
        return replace(config, network=replace(config.network, init_file=None))
    return config


def _network_for(config: RunConfig, preprocessing: Preprocessing) -> NetworkConfig:
    """The network's config, which knows the shape of an example if it is an image."""
    if preprocessing.image is None or not isinstance(config.network, LayerNetworkConfig):
        return config.network
    return replace(config.network, image=preprocessing.image.shape)


def build_network(config: RunConfig, preprocessing: Preprocessing) -> Module:
    """The network of a run with its initial parameters, in the type of the run.

    Raises:
        ConfigError: The network or the loss is not suitable for the data.
    """
    outputs = loss_of(config).outputs(preprocessing)
    network: Module = _network_for(config, preprocessing).build(
        preprocessing.inputs, outputs, activation_layer(config.activation), config.seed
    )
    for tensor in (*network.parameters(), *network.named_buffers().values()):
        tensor.rebind(tensor.numpy().astype(config.dtype))
    return network


def available_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _name(group: str, component: object) -> str:
    """The name that the type of a component is registered by."""
    return next(name for name, cls in REGISTRIES[group].items() if cls is type(component))


def build_experiment(config: RunConfig, data: Dataset | None = None) -> Experiment:
    """Build an experiment and its engine, and try a step.

    Args:
        config: The config of the run.
        data: The dataset of the config, if it was loaded before.

    Raises:
        ConfigError: Keys contradict each other, or a component of the user raises an exception; the message names the
            line.
    """
    try:
        experiment = assemble_experiment(config, data)
        _try_step(experiment)
        return experiment
    except (ConfigError, MemoryError):
        raise
    except Exception as error:
        if not (config.extensions or _calls_in_user_files(error)):
            raise
        raise ConfigError(_describe_extension_error(error)) from error


def _calls_in_user_files(error: Exception) -> list[traceback.FrameSummary]:
    """The calls that an exception passed through in files of the user, which are not those of an installed library."""
    import sysconfig  # takes milliseconds

    libraries = [sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")]

    def is_of_user(file: Path) -> bool:  # generated and frozen code has no file
        return file.is_file() and not any(file.is_relative_to(path) for path in libraries)

    return [call for call in _calls_outside(error) if is_of_user(Path(call.filename))]


def _calls_outside(error: Exception) -> list[traceback.FrameSummary]:
    """The calls that an exception passed through outside of minitrain."""
    return [call for call in traceback.extract_tb(error.__traceback__) if is_user_code(call.filename)]


def _describe_extension_error(error: Exception) -> str:
    frames = _calls_in_user_files(error) or _calls_outside(error)
    location = f"{Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else "in a call by minitrain"
    advice = "; functions of minitrain.functional take Tensors" if "support ufuncs" in str(error) else ""
    return f"a component of extensions: {type(error).__name__}: {error} ({location}){advice}"


def assemble_experiment(config: RunConfig, data: Dataset | None = None) -> Experiment:
    """Load the data and build the network, without trying a step.

    Args:
        config: The config of the run.
        data: The dataset of the config, if it was loaded before.

    Raises:
        ConfigError: Keys contradict each other.
    """
    data = config.dataset.load() if data is None else data
    _check_config(config, len(data.x_train))
    loss = weighted_loss(config, data.preprocessing, data.class_counts)
    model = build_network(config, data.preprocessing)
    experiment = Experiment(config, data, model, loss, TrainingStep(config, data, model, loss))
    _check_diagnostics(experiment)
    if config.monitor not in ("auto", *experiment.monitors):
        raise ConfigError(
            f"monitor={config.monitor}: not available with this data; expected one of auto, "
            f"{', '.join(experiment.monitors)}"
        )
    return experiment


def _check_config(config: RunConfig, examples: int) -> None:
    if config.batch_size is not None and config.batch_size > examples:
        raise ConfigError(
            f"batch_size={config.batch_size}: expected at most {examples}, all training examples, or null"
        )
    if config.warmup is not None and config.warmup >= config.steps:
        raise ConfigError(f"warmup={config.warmup}: expected fewer than steps={config.steps}")
    if config.min_delta is not None and config.patience is None:
        raise ConfigError(f"min_delta={config.min_delta:g}: applies to early stopping; set patience, or min_delta=null")
    if config.blas_threads == "auto" and config.engine == "eager":
        raise ConfigError("blas_threads=auto: requires a compiled step; give a number, or set engine=numpy")


def _check_diagnostics(experiment: Experiment) -> None:
    for name in experiment.config.diagnostics:
        kind = diagnostics.kind_of(name)
        if kind == "activation" and not experiment.step.layers:
            raise ConfigError(f"diagnostics=[{name}]: the network has no activation layer; leave it out")
        if problem := diagnostics.unsuitable(kind, experiment.data.preprocessing):
            raise ConfigError(f"diagnostics=[{name}]: {problem}; leave it out")
        if diagnostics.is_of_validation(name) and not len(experiment.data.x_val):
            raise ConfigError(f"diagnostics=[{name}]: requires validation examples; set data.validation=0.2")
        if kind == "hessian" and isinstance(experiment.data.x_train, RowsOnDisk):
            raise ConfigError(
                f"diagnostics=[{name}]: requires all training examples in memory as numbers, and the data is on disk, "
                "or images; leave it out"
            )


def _try_step(experiment: Experiment) -> None:
    """Compile a step, or take an eager one and undo it, so that errors are reported before anything is written.

    Raises:
        ConfigError: A step cannot be compiled, or the shapes of the network do not match.
    """
    config, step = experiment.config, experiment.step
    try:
        with np.errstate(all="ignore"):
            step.scalars(0)
            engine = experiment.engine
            if config.engine == "eager":
                initial = {name: array.copy() for name, array in step.arrays().items()}
                engine.loss(0)
                engine.update(0)
                step.restore(initial)
            engine.evaluate()
            if config.diagnostics:
                engine.loss(0)
                engine.inspect(0)
    except TracingError as error:
        raise ConfigError(f"engine={config.engine}: {error}") from error
    except ConfigError:
        raise
    except ValueError as error:
        if _calls_in_user_files(error):
            raise
        raise ConfigError(f"network={_name('network', config.network)}: {error}") from error
