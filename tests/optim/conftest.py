"""Fixtures of the tests of optimizers."""

import pytest


@pytest.fixture
def torch():
    """PyTorch with default dtype float64, which the running product of NAdam has."""
    torch = pytest.importorskip("torch")
    before = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    yield torch
    torch.set_default_dtype(before[0])
    torch.set_num_threads(before[1])
