"""The figures of `plots=[...]`, drawn from the best checkpoint of a run as PNG and SVG."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from minitrain.config.schema import RunConfig
from minitrain.data import Dataset
from minitrain.data.image_format import COLORS
from minitrain.data.record import check_unchanged
from minitrain.errors import ConfigError, first_line, plural
from minitrain.inference.model import Model, restore_model
from minitrain.plotting.figures import own_style, save_figures
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
    """Check that the figures of `plots` can be drawn.

    Raises:
        ConfigError: A figure requires other data or another network; the message says what it requires.
    """
    for name in experiment.config.plots:
        reason = PLOTS[name][0](experiment)
        if reason:
            raise ConfigError(f"plots=[{name}]: {reason}")


def draw_plots(config: RunConfig, directory: Path, data: Dataset | None = None, missing: bool = False) -> list[str]:
    """Draw the figures of `config.plots` from the best checkpoint of a run.

    Args:
        config: The config of the run.
        directory: The directory of the run.
        data: The dataset of `config.data`, if it has been loaded already.
        missing: Whether to draw only figures that do not exist yet.

    Returns:
        A line for each figure that could not be drawn: an error here must not make the run fail.
    """
    names = [name for name in config.plots if not (missing and (directory / f"{name}.svg").exists())]
    if not names:
        return []
    try:
        model = restore_model(config, directory)
        data = config.dataset.load() if data is None else data
        check_unchanged(data, directory)
    except Exception as error:  # an error in a figure must not make the run fail
        return [f"plots: not drawn: {first_line(error)}"]
    errors = []
    for name in names:
        try:
            with own_style():
                save_figures(PLOTS[name][1](model, data), directory, name)
        except Exception as error:
            errors.append(f"plots: {name} not drawn: {type(error).__name__}: {first_line(error)}")
    return errors


# Requirements: each returns the reason why a figure cannot be drawn, or an empty text


def _requires_classes(experiment: Experiment) -> str:
    preprocessing = experiment.data.preprocessing
    is_class = preprocessing.classes is not None
    return "" if is_class else f"requires one class per example, but the data has {preprocessing.describe_target()}"


def _requires_inputs(count: int, experiment: Experiment) -> str:
    inputs = experiment.data.preprocessing.inputs
    return "" if inputs == count else f"requires {plural(count, 'input')}, but the data has {inputs}"


def _requires_one_target(experiment: Experiment) -> str:
    preprocessing = experiment.data.preprocessing
    target = preprocessing.describe_target()
    return "" if preprocessing.targets == 1 else f"requires one number to predict, but the data has {target}"


def _requires_images(experiment: Experiment) -> str:
    preprocessing = experiment.data.preprocessing
    inputs, image = preprocessing.inputs, preprocessing.image
    if image is None and (inputs < 4 or math.isqrt(inputs) ** 2 != inputs):
        return f"requires images, but the data has {plural(inputs, 'input')}, not a square number"
    if image is not None and image.channels not in COLORS:
        return f"requires gray or color images, but the data has {image.describe()}"
    has_image_weights = first_weights(experiment.model, preprocessing) is not None
    return "" if has_image_weights else "requires a network whose first layer is a linear or conv layer"


def _requires_plane_of_classes(experiment: Experiment) -> str:
    return _requires_inputs(2, experiment) or _requires_classes(experiment)


def _requires_curve(experiment: Experiment) -> str:
    return _requires_inputs(1, experiment) or _requires_one_target(experiment)


# Name -> its requirement, and the function that draws it
PLOTS: dict[str, tuple[Callable[[Experiment], str], Callable[[Model, Dataset], Figure]]] = {
    "confusion_matrix": (_requires_classes, confusion_matrix),
    "decision_boundary": (_requires_plane_of_classes, decision_boundary),
    "first_layer_weights": (_requires_images, first_layer_weights),
    "fitted_curve": (_requires_curve, fitted_curve),
}
