"""Fixtures for tests of the command line and of components of the user, and the option --skipped."""

import sys

import pytest
from factories import make_grid
from hydra.core.config_store import ConfigStore

from minitrain.cli import main
from minitrain.compare.results import load_runs
from minitrain.registry import REGISTRIES

CACHED_SKIPS = "minitrain/skipped"


def pytest_addoption(parser):
    parser.addoption("--skipped", action="store_true", help="run only the tests that the run before skipped")


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # reports of all workers arrive at the main process
        config.pluginmanager.register(SkipRecorder(config.cache))


def pytest_collection_modifyitems(config, items):
    if config.getoption("--skipped"):
        skipped = set(config.cache.get(CACHED_SKIPS, []))
        chosen, others = [], []
        for item in items:
            (chosen if {item.nodeid, item.nodeid.partition("::")[0]} & skipped else others).append(item)
        items[:] = chosen
        config.hook.pytest_deselected(items=others)


class SkipRecorder:
    """Stores which tests, and which files of tests, a run skips."""

    def __init__(self, cache):
        self.cache, self.skipped = cache, set()

    def pytest_runtest_logreport(self, report):
        self.pytest_collectreport(report)

    def pytest_collectreport(self, report):
        if report.skipped:
            self.skipped.add(report.nodeid)

    def pytest_sessionfinish(self):
        self.cache.set(CACHED_SKIPS, sorted(self.skipped))


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
