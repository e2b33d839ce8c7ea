"""What `plots=[...]` asks for: pictures that fit, drawn from a run's checkpoint on disk as PNG and SVG beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from minitrain.config.schema import RunConfig
from minitrain.data import Dataset
from minitrain.errors import ConfigError, first_line
from minitrain.inference.model import Model, restore_model
from minitrain.plotting.figures import save_figures
from minitrain.plotting.prediction_figures import (
    confusion_matrix,
    decision_boundary,
    first_layer_weights,
    first_weights,
    fitted_curve,
)
from minitrain.training.experiment import Experiment

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_plots(experiment: Experiment) -> None:
    """Raise ConfigError for the first of `plots` that does not fit the data or the network."""
    for name in experiment.config.plots:
        reason = PLOTS[name][0](experiment)
        if reason:
            raise ConfigError(f"plots=[{name}]: {reason}")


def draw_plots(config: RunConfig, directory: Path, data: Dataset | None = None, missing: bool = False) -> list[str]:
    """Draw what `config.plots` names, of the best network; gives what went wrong, a line each.

    data: what `config.data` loads, where it is there already; missing: only those that are not there yet
    """
    names = [name for name in config.plots if not (missing and (directory / f"{name}.svg").exists())]
    if not names:
        return []
    try:
        model = restore_model(config, directory, data=data)
    except Exception as error:  # no picture is worth a run
        return [f"plots: not drawn: {first_line(error)}"]
    wrong = []
    for name in names:
        try:
            save_figures(PLOTS[name][1](model), directory, name)
        except Exception as error:
            wrong.append(f"plots: {name} not drawn: {type(error).__name__}: {first_line(error)}")
    return wrong


# What does not fit


def _needs_classes(experiment: Experiment) -> str:
    return "" if experiment.data.classes is not None else "needs classes, the data has none"


def _needs_inputs(count: int, experiment: Experiment) -> str:
    inputs = experiment.data.inputs
    return "" if inputs == count else f"needs {count} input{'s' * (count > 1)}, the data has {inputs}"


def _needs_one_number(experiment: Experiment) -> str:
    data = experiment.data
    fits = data.classes is None and data.y_train is not None and data.outputs == 1
    return "" if fits else f"needs one number to predict, the data has {_predicted(data)}"


def _predicted(data: Dataset) -> str:
    if data.classes is not None:
        return f"{data.classes} classes"
    return "no target" if data.y_train is None else f"{data.outputs} numbers"


def _needs_images(experiment: Experiment) -> str:
    inputs = experiment.data.inputs
    if inputs < 4 or math.isqrt(inputs) ** 2 != inputs:
        return f"needs square images, the data has {inputs} input{'s' * (inputs > 1)}"
    return "" if first_weights(experiment) is not None else "needs a network that begins with a linear or conv layer"


# Name -> why it does not fit a experiment, empty where it does; and how it is drawn
PLOTS: dict[str, tuple[Callable[[Experiment], str], Callable[[Model], Figure]]] = {
    "confusion_matrix": (_needs_classes, confusion_matrix),
    "decision_boundary": (
        lambda experiment: _needs_inputs(2, experiment) or _needs_classes(experiment),
        decision_boundary,
    ),
    "first_layer_weights": (_needs_images, first_layer_weights),
    "fitted_curve": (lambda experiment: _needs_inputs(1, experiment) or _needs_one_number(experiment), fitted_curve),
}
