"""Start one run, or show the step that it would compute: all is checked before anything is written."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from minitrain.compiled import Compiled
from minitrain.composer import CONFIG, Composer, given_in, task_config
from minitrain.config import ConfigError
from minitrain.job import checked, exit_status, perform
from minitrain.multirun import write_files
from minitrain.problem import build
from minitrain.record import claim_directory

log = logging.getLogger("minitrain")


def start_run(composer: Composer, overrides: Sequence[str], dry: bool = False) -> int:
    """Train one run; gives the exit status. dry: only check it, and tell what it would be."""
    config = composer.compose(overrides)
    swept = set(config.hydra.sweeper.get("params") or ()) - {text.partition("=")[0] for text in overrides}
    if swept:
        study, keys = config.hydra.runtime.choices.get("experiments"), ", ".join(sorted(swept))
        raise ConfigError(f"experiments={study}: is a sweep of {keys}; add -m, or give each one value")
    run_config = checked(task_config(config))
    if dry:
        from minitrain.sweep.progress import format_dry_run
        from minitrain.sweep.stacks import stacks

        log.info("%s", format_dry_run([overrides], stacks({0: run_config}, 1), 1))
        return 0
    problem = build(run_config)
    if run_config.plots:
        from minitrain.model_plots import check_plots

        check_plots(problem)
    given = given_in(config)
    directory = own_directory(config, "run", Path("outputs"), ",".join(given))
    with read_write(config), open_dict(config):
        config.hydra.run.dir, config.hydra.mode = str(directory), RunMode.RUN
        config.hydra.runtime.output_dir = os.path.abspath(directory)
        write_files(directory, task_config(config), OmegaConf.to_yaml(OmegaConf.masked_copy(config, ["hydra"])), given)
        config.hydra.output_subdir = None  # Hydra would write the same files again, one after another in their places
    callbacks = Callbacks(config)
    callbacks.on_run_start(config=config, config_name=CONFIG)
    failures: list[OSError] = []

    def task(_: DictConfig) -> Any:
        try:
            return perform(problem, *place())
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


def show_graph(composer: Composer, overrides: Sequence[str]) -> int:
    """Show the compiled step and the network of one run, and train nothing; gives the exit status."""
    from minitrain.listing import write_graph

    config = composer.compose(overrides)
    if of_hydra := given_in(config, "hydra"):
        raise ConfigError(f"{of_hydra[0]}: graph starts no run of Hydra's; leave it out, files go to outputs/graphs")
    problem = build(checked(task_config(config)))
    if not isinstance(problem.engine, Compiled):
        raise ConfigError("engine=eager: has no compiled step to show; set engine=replay, the bits are the same")
    directory = claim_directory(Path("outputs", "graphs"), ",".join(overrides))
    print(write_graph(problem, problem.engine.training, directory))
    print(f"\nlisting  {directory / 'tape.txt'}\ngraph    {directory / 'graph.png'}", flush=True)
    return 0


def own_directory(config: DictConfig, mode: str, parent: Path, label: str) -> Path:
    """A directory of its own: the one a person gave with hydra.MODE.dir, if it is free, else a new one."""
    key = f"hydra.{mode}.dir"
    if not is_given(config, mode):
        return claim_directory(parent, label)
    given = Path(OmegaConf.select(config, key))
    try:
        if (given / ".hydra").exists():
            raise FileExistsError
        given.mkdir(parents=True, exist_ok=mode == "run" or (given.is_dir() and not any(given.iterdir())))
    except OSError as error:
        if not isinstance(error, FileExistsError):
            raise ConfigError(f"{key}={given}: cannot be made ({error.strerror}); choose another directory") from error
        raise ConfigError(f"{key}={given}: is taken already; resume the run in it, or choose a new directory") from None
    return given


def is_given(config: DictConfig, mode: str) -> bool:
    return any(override.startswith(f"hydra.{mode}.dir=") for override in given_in(config, "hydra"))


def place() -> tuple[Path, list[str]]:
    """The directory of the run that Hydra is at, and what was asked for."""
    whole: Any = HydraConfig.instance().cfg
    return Path(whole.hydra.runtime.output_dir), given_in(whole)
