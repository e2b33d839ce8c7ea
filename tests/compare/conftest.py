"""Fixtures of the tests of comparisons."""

import pytest
from factories import make_grid

from minitrain.compare.results import load_runs


@pytest.fixture
def grid(tmp_path):
    """The runs of a sweep over lr, activation and seed."""
    return load_runs(make_grid(tmp_path / "grid"))
