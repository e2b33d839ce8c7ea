"""Train one run in its directory, draw its curves and tell how it went; go on with one that was stopped."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from minitrain.commands.log import file_log, log_to_file
from minitrain.config.composition import CONFIG, Composer, requested_overrides, task_config
from minitrain.config.hydra_compat import Callbacks
from minitrain.config.hydra_files import write_hydra_files
from minitrain.config.job_directory import claim_job_directory, current_job
from minitrain.config.loading import to_run_config
from minitrain.config.schema import RunConfig
from minitrain.data import Dataset
from minitrain.errors import ConfigError, Interrupted, RecordError, first_line
from minitrain.optim import SGDRule
from minitrain.plotting.run_curves import draw_run
from minitrain.storage.lock import locked
from minitrain.storage.summary import Status, Summary, exit_status, read_summary
from minitrain.training.experiment import Experiment, build_experiment
from minitrain.training.loop import train
from minitrain.training.progress import format_outcome, format_outcome_briefly, stop_requests

log = logging.getLogger("minitrain")


def perform(
    experiment: Experiment, directory: Path, overrides: Sequence[str], *, name: str = "", resume: bool = False
) -> Summary:
    """Train a run in its directory, draw its curves, and tell how it went.

    name: what a sweep's run is called; its end is then told in one line
    Raises KeyboardInterrupt after Ctrl-C, when everything is written.
    """
    shown = Path(os.path.relpath(directory))
    with locked(directory), log_to_file(directory / "minitrain.log"):
        if not name:
            log.info("%s", experiment.describe())
        interrupted = False
        try:
            train(experiment, directory, overrides=overrides, resume=resume, announce=not name)
        except Interrupted:
            interrupted = True
        except RecordError:
            raise  # of the checkpoint to go on from: nothing was done yet
        except Exception as error:
            file_log.exception("the run failed")
            log.error("%sfailed: %s (%s)", name, _told(error), _advice(error, shown))
            return Summary(Status.FAILED, 0, experiment.config.steps)
        summary = read_summary(directory)
        with stop_requests() as stop:  # an import or a file that is cut short would harm what comes after
            headings = ", ".join(overrides), experiment.describe_briefly()
            plot = draw_run(directory, *headings)
            diagnostics = draw_requested_diagnostics(experiment.config, directory, *headings)
            draw_requested_plots(experiment.config, directory, experiment.data, told=name)
        interrupted = interrupted or stop.is_set()
        if name:
            log.info("%s%s", name, format_outcome_briefly(summary))
        else:
            log.info("%s\nloss curve  %s", format_outcome(summary), shown / plot.name)
            if diagnostics is not None:
                log.info("diagnostics %s", shown / diagnostics.name)
            for plotted in experiment.config.plots:
                if (directory / f"{plotted}.png").exists():
                    log.info("%s  %s", plotted.replace("_", " "), shown / f"{plotted}.png")
            if interrupted:
                log.info("go on with  python -m minitrain resume %s", shown)
        if interrupted:
            raise KeyboardInterrupt
        return summary


def _told(error: Exception) -> str:
    return first_line(error) if isinstance(error, OSError) else f"{type(error).__name__}: {first_line(error)}"


def _advice(error: Exception, directory: Path) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return f"make room on the disk and go on with  python -m minitrain resume {directory}"
    return f"where: {directory / 'minitrain.log'}"


def draw_requested_diagnostics(config: RunConfig, directory: Path, title: str, note: str) -> Path | None:
    """Draw what `metrics` asked for, if anything."""
    if not config.diagnostics:  # what others do not need is not imported for them
        return None
    from minitrain.plotting.diagnostics import draw_diagnostics

    return draw_diagnostics(directory, title, note, edge=isinstance(config.optimizer, SGDRule))


def draw_requested_plots(
    config: RunConfig, directory: Path, data: Dataset | None = None, missing: bool = False, told: str = ""
) -> None:
    """Draw what `plots` names, as `draw_plots` does, and log what went wrong."""
    if config.plots:
        from minitrain.plotting.prediction_plots import draw_plots

        for line in draw_plots(config, directory, data, missing):
            log.warning("%s%s", told, line)


log = logging.getLogger("minitrain")


def start_run(composer: Composer, overrides: Sequence[str], dry: bool = False) -> int:
    """Train one run; gives the exit status. dry: only check it, and tell what it would be."""
    config = composer.compose(overrides)
    swept = set(config.hydra.sweeper.get("params") or ()) - {text.partition("=")[0] for text in overrides}
    if swept:
        study, keys = config.hydra.runtime.choices.get("experiments"), ", ".join(sorted(swept))
        raise ConfigError(f"experiments={study}: is a sweep of {keys}; add -m, or give each one value")
    run_config = to_run_config(task_config(config))
    if dry:
        from minitrain.sweep.grouping import group_runs
        from minitrain.sweep.progress import format_dry_run

        log.info("%s", format_dry_run([overrides], group_runs({0: run_config}, 1), 1))
        return 0
    experiment = build_experiment(run_config)
    if run_config.plots:
        from minitrain.plotting.prediction_plots import check_plots

        check_plots(experiment)
    given = requested_overrides(config)
    directory = claim_job_directory(config, "run", Path("outputs"), ",".join(given))
    with read_write(config), open_dict(config):
        config.hydra.run.dir, config.hydra.mode = str(directory), RunMode.RUN
        config.hydra.runtime.output_dir = os.path.abspath(directory)
        write_hydra_files(
            directory, task_config(config), OmegaConf.to_yaml(OmegaConf.masked_copy(config, ["hydra"])), given
        )
        config.hydra.output_subdir = None  # Hydra would write the same files again, one after another in their places
    callbacks = Callbacks(config)
    callbacks.on_run_start(config=config, config_name=CONFIG)
    failures: list[OSError] = []

    def task(_: DictConfig) -> Any:
        try:
            return perform(experiment, *current_job())
        except OSError as error:  # of a full disk; Hydra would tell it in its own words as well
            failures.append(error)

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
    return exit_status([result.return_value], config.on_divergence == "fail")
