"""Going on with a sweep: which of its runs are complete, which are left, and how it ends."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from minitrain.compare.command import read_title, write_comparison
from minitrain.compare.comparison import compare
from minitrain.compare.results import load_runs
from minitrain.compare.table import format_table
from minitrain.config import ConfigError, RunConfig
from minitrain.job import exit_status, read_config
from minitrain.model_plots import draw_plots
from minitrain.problem import cores
from minitrain.record import LONGEST_CONFIG, RecordError, read_overrides, read_summary, read_text, refuse_links
from minitrain.sweep.board import Job, note
from minitrain.sweep.progress import SweepReport, format_plan
from minitrain.sweep.stacks import stacks
from minitrain.sweep.training import train_jobs

log = logging.getLogger("minitrain")


def runs_in(directory: Path) -> list[Path]:
    """The runs' directories of a sweep, in its order."""

    def number(run: Path) -> int:
        path = run / ".hydra" / "hydra.yaml"
        try:
            found = re.search(r"^    num: (\d+)$", read_text(path, LONGEST_CONFIG), re.MULTILINE)
        except (OSError, ValueError) as error:
            raise RecordError(f"{path}: cannot be read ({error})") from error
        return int(found[1]) if found else 0

    return sorted((path.parent.parent for path in directory.glob("**/.hydra/config.yaml")), key=number)


def check_configs(directory: Path, texts: Mapping[Path, str]) -> None:
    """Refuse to go on with a sweep in whose directory another's runs are; texts: a run's directory -> its config."""
    for run in runs_in(directory) if directory.is_dir() else ():
        if run not in texts or (run / ".hydra" / "config.yaml").read_text(encoding="utf-8") != texts[run]:
            raise ConfigError(
                f"hydra.sweep.dir={directory}: is taken already: the run in {run} has another config; give the command "
                "that began it, or choose a new directory"
            )


def is_complete(directory: Path) -> bool:
    """Whether a run has come to its end: completed, or diverged."""
    try:
        return read_summary(directory).get("status") in ("completed", "diverged")
    except RecordError:
        return False


def train_left(jobs: Mapping[int, Job], directory: Path, extensions: Sequence[str]) -> bool:
    """Train the runs that are not complete, from their checkpoints; whether they came to their ends unstopped."""
    done = {number: job for number, job in jobs.items() if is_complete(job.directory)}
    left = {number: job for number, job in jobs.items() if number not in done}
    if done:
        log.info("%d of %d runs are complete%s", len(done), len(jobs), "" if left else ": nothing left to do")
    for job in done.values():
        for line in draw_plots(job.config, job.directory, missing=True):
            note(job.directory, line)
    found = stacks({number: job.config for number, job in left.items()}, cores())
    if left:
        log.info("%s", format_plan(found, cores()))
    with SweepReport(left, directory, done) as report:
        if not left:
            return True
        return train_jobs(left, found, cores(), extensions, report)


def conclude(directory: Path, title: str, configs: Sequence[RunConfig], interrupted: bool) -> int:
    """Draw and tell how the runs of a sweep compare; gives the exit status."""
    runs = load_runs(directory)
    if runs:
        comparison = compare(runs)
        log.info("\n%s\n", format_table(comparison, rows=10))
        for name, path in write_comparison(comparison, directory, title).items():
            log.info("%-11s %s", name, path)
    if interrupted:
        ended = sum(run.status not in ("interrupted", "running") for run in runs)
        log.info("interrupted: %d of %d runs have ended", ended, len(configs))
        log.info("go on with  python -m minitrain resume %s", directory)
        return 130
    strict = any(config.on_divergence == "fail" for config in configs)
    return exit_status([read_summary(run) for run in runs_in(directory)], strict)


def resume_sweep(directory: Path, overrides: Sequence[str], extensions: Sequence[str]) -> int:
    """Go on with every run of a sweep that is not complete; gives the exit status."""
    for text in overrides:
        if not text.startswith("extensions="):
            raise ConfigError(f"{text}: a resumed sweep goes on as it was; resume one of its runs for more steps")
    refuse_links(directory)
    jobs = {}
    for number, run in enumerate(runs_in(directory)):
        jobs[number] = Job(number, read_config(run), run, read_overrides(run))
    if not jobs:
        raise ConfigError(f"resume {directory}: no run was begun; give the sweep's command again")
    stopped = not train_left(jobs, directory, extensions)
    return conclude(directory, read_title(directory), [job.config for job in jobs.values()], stopped)
