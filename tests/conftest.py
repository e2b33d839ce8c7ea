"""Fixtures for tests of the command line and of components of the user."""

import sys

import pytest
from factories import make_grid
from hydra.core.config_store import ConfigStore

from minitrain.cli import main
from minitrain.compare.results import load_runs
from minitrain.registry import REGISTRIES


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs a command line in an empty directory; returns (exit status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = main(list(arguments))
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture
def own_components(monkeypatch):
    """Components that the test registers, and their module `mine`, are removed after it."""
    before = {group: dict(table) for group, table in REGISTRIES.items()}
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("mine", None)
    for group, table in before.items():
        stored = ConfigStore.instance().repo.get(group, {})
        for name in REGISTRIES[group].keys() - table:
            stored.pop(f"{name}.yaml", None)
        REGISTRIES[group].clear()
        REGISTRIES[group].update(table)


@pytest.fixture
def grid(tmp_path):
    """The runs of a sweep over lr, activation and seed."""
    return load_runs(make_grid(tmp_path / "grid"))
