"""Train one run in its directory, draw its curves and tell how it went; go on with one that was stopped."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from minitrain.config import ConfigError, RunConfig, one_line, read
from minitrain.data import Dataset
from minitrain.optim import SGDRule
from minitrain.plot import draw_run
from minitrain.problem import Problem, build
from minitrain.progress import format_outcome, format_outcome_briefly, stop_requests
from minitrain.record import RecordError, read_overrides, read_summary, read_values, refuse_strange, write_text
from minitrain.run import Run
from minitrain.train import Interrupted, train

log = logging.getLogger("minitrain")


def checked(config: DictConfig) -> RunConfig:
    """The config as typed values. Raises ConfigError for the first that is wrong."""
    try:
        values = OmegaConf.to_container(config, resolve=True)
    except RecursionError as error:
        raise ConfigError("the config is nested too deeply") from error
    except OmegaConfBaseException as error:
        if "optimizer.default_lr" in str(error):
            raise ConfigError("lr: not given, and the optimizer has no default_lr; give one of them") from error
        key = f"{error.full_key}: " if error.full_key else ""
        raise ConfigError(f"{key}{one_line(error)}") from error
    assert isinstance(values, dict)
    return read({str(key): value for key, value in values.items()})


def perform(
    problem: Problem, directory: Path, overrides: Sequence[str], *, name: str = "", resume: bool = False
) -> dict[str, Any]:
    """Train a run in its directory, draw its curves, and tell how it went.

    name: what a sweep's run is called; its end is then told in one line
    Raises KeyboardInterrupt after Ctrl-C, when everything is written.
    """
    shown = Path(os.path.relpath(directory))
    with _log_file(directory / "minitrain.log"):
        if not name:
            log.info("%s", problem.describe())
        interrupted = False
        try:
            train(problem, directory, overrides=overrides, resume=resume, announce=not name)
        except Interrupted:
            interrupted = True
        except RecordError:
            raise  # of the checkpoint to go on from: nothing was done yet
        except Exception as error:
            _file_only.exception("the run failed")
            log.error("%sfailed: %s (%s)", name, _told(error), _advice(error, shown))
            return {"status": "failed", "best": None}
        summary = read_summary(directory)
        with stop_requests() as stop:  # an import or a file that is cut short would harm what comes after
            headings = ", ".join(overrides), problem.describe_briefly()
            plot = draw_run(directory, *headings)
            diagnostics = _draw_diagnostics(problem.config, directory, *headings)
            _draw_plots(problem.config, directory, problem.data, told=name)
        interrupted = interrupted or stop.is_set()
        if name:
            log.info("%s%s", name, format_outcome_briefly(summary))
        else:
            log.info("%s\nloss curve  %s", format_outcome(summary), shown / plot.name)
            if diagnostics is not None:
                log.info("diagnostics %s", shown / diagnostics.name)
            for plotted in problem.config.plots:
                if (directory / f"{plotted}.png").exists():
                    log.info("%s  %s", plotted.replace("_", " "), shown / f"{plotted}.png")
            if interrupted:
                log.info("go on with  python -m minitrain resume %s", shown)
        if interrupted:
            raise KeyboardInterrupt
        return summary


def _told(error: Exception) -> str:
    return one_line(error) if isinstance(error, OSError) else f"{type(error).__name__}: {one_line(error)}"


def _advice(error: Exception, directory: Path) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return f"make room on the disk and go on with  python -m minitrain resume {directory}"
    return f"where: {directory / 'minitrain.log'}"


def _draw_diagnostics(config: RunConfig, directory: Path, title: str, note: str) -> Path | None:
    """Draw what `metrics` asked for, if anything."""
    if not config.metrics:  # what others do not need is not imported for them
        return None
    from minitrain.diagnostics_plot import draw_diagnostics

    return draw_diagnostics(directory, title, note, edge=isinstance(config.optimizer, SGDRule))


def _draw_plots(
    config: RunConfig, directory: Path, data: Dataset | None = None, missing: bool = False, told: str = ""
) -> None:
    """Draw what `plots` names, as `draw_plots` does, and log what went wrong."""
    if config.plots:
        from minitrain.model_plots import draw_plots

        for line in draw_plots(config, directory, data, missing):
            log.warning("%s%s", told, line)


def resume(directory: Path, overrides: Sequence[str]) -> int:
    """Continue a run where it stopped; `steps=N` gives it a new end. Gives the exit status.

    Raises ConfigError or RecordError, and changes nothing, where it cannot go on.
    """
    stored, config = _stored(directory)
    refuse_strange(directory)
    for text in overrides:
        key, _, _ = text.partition("=")
        if key == "extensions":
            continue  # they are imported by now
        if key != "steps":
            raise ConfigError(
                f"{text}: a resumed run goes on as it was; only steps can change, start a new run for the rest"
            )
        OmegaConf.update(config, "steps", _number_in(text))
    run_config = _checked_again(config)
    summary = read_summary(directory) if (directory / "summary.json").exists() else {}
    step = summary.get("step", 0)
    if step > run_config.steps:
        raise ConfigError(f"steps={run_config.steps}: the run is at step {step} already; expected more")
    done = ""
    if summary.get("stopped_early"):
        done = f"the run stopped early at step {step:,}"
    elif step == run_config.steps and summary["status"] in ("completed", "diverged"):
        done = f"the run has completed its {run_config.steps:,} steps; give steps=N for more"
    task = read_overrides(directory)
    if done:
        log.info("nothing left to do: %s", done)
        if not (directory / "loss.svg").exists():  # it may have been killed while it drew them
            headings = ", ".join(task), build(run_config).describe_briefly()
            draw_run(directory, *headings)
            _draw_diagnostics(run_config, directory, *headings)
        _draw_plots(run_config, directory, missing=True)
        return 0
    problem = build(run_config)
    if overrides:
        Run(problem, directory, task).restore()  # raises where it cannot go on: its config stays what it is
        write_text(stored, OmegaConf.to_yaml(config))
    summary = perform(problem, directory, [*task, *overrides], resume=True)
    return exit_status([summary], run_config.on_divergence == "fail")


def _number_in(text: str) -> Any:
    try:
        return OmegaConf.from_dotlist([text])["steps"]
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{text}: expected a whole number: steps=5000") from error


def read_config(directory: Path) -> RunConfig:
    """The config of a run that was begun. Raises ConfigError or RecordError where there is none to be used."""
    return _checked_again(_stored(directory)[1])


def _stored(directory: Path) -> tuple[Path, DictConfig]:
    stored = directory / ".hydra" / "config.yaml"
    if not stored.is_file():
        sweep = "; of a sweep, give one of its runs" if (directory / "multirun.yaml").exists() else ""
        raise ConfigError(f"{directory}: not a run's directory; expected .hydra/config.yaml in it{sweep}")
    read_values(stored)
    try:
        config = OmegaConf.load(stored)
    except Exception as error:  # whatever a damaged YAML file raises
        raise RecordError(f"{stored}: not a config that can be read ({one_line(error)})") from error
    if not isinstance(config, DictConfig):
        raise RecordError(f"{stored}: not a run's config")
    return stored, config


def _checked_again(config: DictConfig) -> RunConfig:
    try:
        return checked(config)
    except ConfigError as error:
        found = OmegaConf.to_container(config).get("extensions")  # type: ignore[union-attr]  # of a mapping, a dict
        used = found if isinstance(found, list) else []
        hint = f"; the run had extensions=[{','.join(map(str, used))}]: give that again" if used else ""
        raise ConfigError(f"{error}{hint}") from error


def exit_status(summaries: Sequence[dict[str, Any]], fails_on_divergence: bool) -> int:
    """0 where every run completed; a diverged one is a result, too, unless on_divergence=fail."""
    fine = ("completed",) if fails_on_divergence else ("completed", "diverged")
    return 0 if summaries and all(s["status"] in fine for s in summaries) else 1


# What is told


_file_only = logging.getLogger("minitrain.file")


def set_up_logging() -> None:
    """Messages to standard output; while a run goes on, to its minitrain.log with the time, too."""
    console = logging.StreamHandler(sys.stdout)
    console.handleError = _not_told  # type: ignore[method-assign]
    console.addFilter(lambda record: record.name == "minitrain")
    log.handlers = [console]
    log.setLevel(logging.INFO)
    log.propagate = False


def _not_told(record: logging.LogRecord) -> None:
    """Nobody reads any more, as `head` that has seen enough, or the disk is full: what is trained goes on."""
    if isinstance(sys.exc_info()[1], BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _log_file(path: Path) -> Iterator[None]:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.handleError = lambda record: None  # type: ignore[method-assign]  # on a full disk: no traceback for each line
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()
