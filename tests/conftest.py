import sys

import pytest
from factories import make_grid
from hydra.core.config_store import ConfigStore

from minitrain.cli import main
from minitrain.compare.results import load_runs
from minitrain.registry import REGISTRIES


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run a command line in an empty folder; gives (exit status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = main(list(arguments))
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture
def own_components(monkeypatch):
    """Components registered from here on, and the module `mine` they are in, are gone afterwards."""
    before = {group: dict(table) for group, table in REGISTRIES.items()}
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("mine", None)
    for group, table in before.items():
        offered = ConfigStore.instance().repo.get(group, {})
        for name in REGISTRIES[group].keys() - table:
            offered.pop(f"{name}.yaml", None)
        REGISTRIES[group].clear()
        REGISTRIES[group].update(table)


@pytest.fixture
def grid(tmp_path):
    """The runs of a sweep over lr, activation and seed."""
    return load_runs(make_grid(tmp_path / "grid"))
