"""Train one run in its directory, draw its figures and log the outcome."""

from __future__ import annotations

import errno
import logging
import os
import shlex
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from hydra.core.utils import run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from minitrain.commands.log import file_log, log_to_file
from minitrain.config.composition import CONFIG, Composer, requested_overrides, task_config
from minitrain.config.hydra_files import write_hydra_files
from minitrain.config.hydra_section import create_callbacks
from minitrain.config.job_directory import claim_job_directory, current_job
from minitrain.config.loading import to_run_config
from minitrain.config.schema import RunConfig
from minitrain.data import Dataset
from minitrain.data.record import read_data_record
from minitrain.errors import ConfigError, Interrupted, RecordError, first_line
from minitrain.optim import SGDRule
from minitrain.paths import invocation
from minitrain.plotting.figures import DEFAULT_FORMATS
from minitrain.plotting.run_curves import draw_run
from minitrain.storage.lock import locked
from minitrain.storage.summary import Status, Summary, exit_status, read_summary
from minitrain.training.experiment import Experiment, build_experiment, describe_briefly
from minitrain.training.loop import train
from minitrain.training.progress import format_outcome, format_outcome_briefly, stop_requests

log = logging.getLogger("minitrain")


# A new run


def start_run(composer: Composer, overrides: Sequence[str], dry_run: bool = False) -> int:
    """Train one run in a new directory.

    Args:
        composer: Composes the config.
        overrides: The overrides that the user typed.
        dry_run: Whether to check and print the plan only.

    Returns:
        The exit status.

    Raises:
        ConfigError: The config is invalid; nothing was written.
    """
    config = composer.compose(overrides)
    _refuse_sweep(config, overrides)
    run_config = to_run_config(task_config(config))
    if dry_run:
        _log_dry_run(run_config, overrides)
        return 0
    experiment = build_experiment(run_config)
    if run_config.plots:
        from minitrain.plotting.prediction_plots import check_plots

        check_plots(experiment)
    _claim_directory(config)
    summary = _run_as_hydra_job(composer, config, experiment)
    return exit_status([summary], run_config.on_divergence == "fail")


def _refuse_sweep(config: DictConfig, overrides: Sequence[str]) -> None:
    """Raise ConfigError if a study sets several values of a key."""
    keys = set(config.hydra.sweeper.get("params") or ()) - {text.partition("=")[0] for text in overrides}
    if keys:
        study = config.hydra.runtime.choices.get("experiments")
        raise ConfigError(
            f"experiments={study}: is a sweep of {', '.join(sorted(keys))}; add -m, or set one value each"
        )


def _log_dry_run(config: RunConfig, overrides: Sequence[str]) -> None:
    from minitrain.sweep.grouping import group_runs
    from minitrain.sweep.progress import format_dry_run

    log.info("%s", format_dry_run([overrides], group_runs({0: config}, 1, {0: ()}), 1))


def _claim_directory(config: DictConfig) -> None:
    """Create the directory of the run with the files of its config, and enter it into the config."""
    overrides = requested_overrides(config)
    directory = claim_job_directory(config, "run", Path("outputs"), ",".join(overrides))
    with read_write(config), open_dict(config):
        config.hydra.run.dir, config.hydra.mode = str(directory), RunMode.RUN
        config.hydra.runtime.output_dir = os.path.abspath(directory)
        hydra_yaml = OmegaConf.to_yaml(OmegaConf.masked_copy(config, ["hydra"]))
        write_hydra_files(directory, task_config(config), hydra_yaml, overrides)
        config.hydra.output_subdir = None  # Hydra would write the same files again, and not atomically


def _run_as_hydra_job(composer: Composer, config: DictConfig, experiment: Experiment) -> Summary:
    """Train a run between the callbacks of Hydra that the config names."""
    callbacks = create_callbacks(config)
    callbacks.on_run_start(config=config, config_name=CONFIG)
    failures: list[OSError] = []

    def task(_: DictConfig) -> Summary | None:
        try:
            return train_in_directory(experiment, *current_job())
        except OSError as error:  # such as a full disk; Hydra would report it in its own words as well
            failures.append(error)
            return None

    result = run_job(
        task_function=task,
        config=config,
        job_dir_key="hydra.run.dir",
        job_subdir_key=None,
        hydra_context=HydraContext(config_loader=composer.hydra.config_loader, callbacks=callbacks),
        configure_logging=False,
    )
    callbacks.on_run_end(config=config, config_name=CONFIG, job_return=result)
    if failures:
        raise failures[0]
    summary: Summary = result.return_value
    return summary


# A run in its directory


def train_in_directory(
    experiment: Experiment, directory: Path, overrides: Sequence[str], *, name: str = "", resume: bool = False
) -> Summary:
    """Train a run in its directory, draw its figures, and log the outcome.

    Args:
        experiment: The run.
        directory: Its existing directory.
        overrides: Its overrides, for its summary and the headings of the figures.
        name: The prefix of the messages of a sweep's run, whose outcome is logged in one line.
        resume: Whether to resume at the last checkpoint.

    Raises:
        KeyboardInterrupt: The run was interrupted; everything that resuming requires was written.
        RecordError: The checkpoint to resume at is damaged.
    """
    with locked(directory), log_to_file(directory / "minitrain.log"):
        if not name:
            log.info("%s", experiment.describe())
        for warning in experiment.warnings():
            log.warning("%s", warning)
        interrupted = False
        try:
            train(experiment, directory, overrides=overrides, resume=resume, announce=not name)
        except Interrupted:
            interrupted = True
        except RecordError:
            raise  # the checkpoint is damaged, and nothing was changed
        except Exception as error:
            file_log.exception("the run failed")
            log.error("%sfailed: %s (%s)", name, _describe_failure(error), _advise(error, directory))
            return Summary(Status.FAILED, 0, experiment.config.steps)
        summary = read_summary(directory)
        with stop_requests() as stop:  # Ctrl-C waits: it would cut an import or a file short
            figures = _draw_figures(experiment, directory, overrides, name)
        interrupted = interrupted or stop.is_set()
        if name:
            log.info("%s%s", name, format_outcome_briefly(summary))
        else:
            _log_outcome(summary, figures, directory, interrupted)
        if interrupted:
            raise KeyboardInterrupt
        return summary


def _draw_figures(experiment: Experiment, directory: Path, overrides: Sequence[str], name: str) -> dict[str, Path]:
    """Draw the curves and what the config requests; returns caption -> path."""
    config = experiment.config
    figures = draw_curves(config, directory, overrides, experiment.describe_briefly(), prefix=name)
    draw_requested_plots(config, directory, experiment.data, prefix=name)
    for plot in config.plots:
        if (path := directory / f"{plot}.png").exists():
            figures[plot.replace("_", " ")] = path
    return figures


def _log_outcome(summary: Summary, figures: dict[str, Path], directory: Path, interrupted: bool) -> None:
    log.info("%s", format_outcome(summary))
    for caption, path in figures.items():
        log.info("%-11s %s" if len(caption) <= 11 else "%s  %s", caption, os.path.relpath(path))
    if interrupted:
        log.info("resume with  %s", _resume_command(directory))


def _describe_failure(error: Exception) -> str:
    return first_line(error) if isinstance(error, OSError) else f"{type(error).__name__}: {first_line(error)}"


def _advise(error: Exception, directory: Path) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return f"free space on the disk, then resume with  {_resume_command(directory)}"
    return f"traceback in {os.path.relpath(directory / 'minitrain.log')}"


def _resume_command(directory: Path) -> str:
    return f"{invocation()} resume {shlex.quote(os.path.relpath(directory))}"


def draw_missing_figures(config: RunConfig, directory: Path, overrides: Sequence[str]) -> None:
    """Draw the figures that a complete run lacks: it was killed while it drew them, or they could not be drawn."""
    if not all(_is_drawn(directory, name) for name in _curves(config)):
        record = read_data_record(directory)
        preprocessing = build_experiment(config).data.preprocessing if record is None else record.preprocessing
        draw_curves(config, directory, overrides, describe_briefly(config, preprocessing), missing=True)
    draw_requested_plots(config, directory, missing=True)


def draw_curves(
    config: RunConfig, directory: Path, overrides: Sequence[str], note: str, missing: bool = False, prefix: str = ""
) -> dict[str, Path]:
    """Draw the curves of a run, and log those that fail: an error in a figure does not make the run fail.

    Args:
        config: The config of the run.
        directory: Its directory.
        overrides: Its overrides, for the headings.
        note: The second line of the headings.
        missing: Whether to draw only figures that do not exist.
        prefix: The beginning of the messages.

    Returns:
        Caption -> path.

    Raises:
        OSError: A figure cannot be written, as on a full disk.
    """
    figures = {}
    for name, (caption, draw) in _curves(config).items():
        if missing and _is_drawn(directory, name):
            continue
        try:
            path = draw(directory, ", ".join(overrides), note)
        except OSError:
            raise
        except Exception as error:
            reason, command = _describe_failure(error), _resume_command(directory)
            log.warning("%s%s: not drawn (%s); draw it by  %s", prefix, caption, reason, command)
        else:
            if path is not None:
                figures[caption] = path
    return figures


def _is_drawn(directory: Path, name: str) -> bool:
    return all((directory / f"{name}.{suffix}").exists() for suffix in DEFAULT_FORMATS)


def _curves(config: RunConfig) -> dict[str, tuple[str, Callable[[Path, str, str], Path | None]]]:
    """The figures of metrics.csv that a config requests: file name -> caption and drawing function."""
    figures: dict[str, tuple[str, Callable[[Path, str, str], Path | None]]] = {"loss": ("loss curve", draw_run)}
    if config.diagnostics:
        from minitrain.plotting.diagnostics import draw_diagnostics  # other runs do not load it

        edge = isinstance(config.optimizer, SGDRule)
        figures["diagnostics"] = "diagnostics", partial(draw_diagnostics, edge=edge)
    return figures


def draw_requested_plots(
    config: RunConfig, directory: Path, data: Dataset | None = None, missing: bool = False, prefix: str = ""
) -> None:
    """Draw the plots of the best checkpoint that the config requests, and log those that fail.

    Args:
        config: The config of the run.
        directory: Its directory.
        data: Its data; loaded again if None.
        missing: Whether to draw only plots that do not exist.
        prefix: The beginning of the messages.
    """
    if config.plots:
        from minitrain.plotting.prediction_plots import draw_plots

        for line in draw_plots(config, directory, data, missing):
            log.warning("%s%s", prefix, line)
