"""The launcher `grouped` as a Hydra plugin.

Hydra finds plugins in the namespace package `hydra_plugins`, to which several distributions contribute: it must have
no `__init__.py`. Hydra imports every plugin whenever it starts, so this module imports minitrain only when it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from minitrain.sweep.launching import BatchLauncher


class GroupedLauncher(Launcher):
    """Trains the runs of a batch in groups of one structure. Hydra's sweepers start it with each batch of jobs."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Prepare to train the sweep of `config`; `task_function` is minitrain's `RunTask`."""
        from minitrain.sweep.launching import BatchLauncher

        extensions = getattr(task_function, "extensions", ())
        self._batches: BatchLauncher = BatchLauncher(hydra_context.config_loader, config, extensions)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train a batch of jobs, numbered from `initial_job_idx`."""
        return self._batches.launch(job_overrides, initial_job_idx)
