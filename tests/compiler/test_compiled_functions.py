"""Every function and method of the table has the same bits in eager execution, compiled, and in a stack of runs."""

import zlib

import numpy as np
import pytest
from function_table import TABLE
from programs import assert_same_bits
from threadpoolctl import threadpool_limits

from minitrain import Tensor

READING = {"__getitem__"}  # masks and indices are constants, which the tests of random graphs and of rows cover
COMPILED = [
    pytest.param(row, id=f"{row.name}-{i}") for i, row in enumerate(TABLE) if row.numpy and row.name not in READING
]


@pytest.fixture(autouse=True)
def quiet_and_alone():
    """One BLAS thread and no warnings, as in training."""
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize("row", COMPILED)
def test_functions_have_the_same_bits(row):
    """Of the first operands with entries that are not refused, as floats, integers and booleans."""
    rng = np.random.default_rng(zlib.crc32(row.name.encode()))
    compared = 0
    for dtype in [t for t in ("float32", "uint8", "bool") if t in row.types]:
        for shapes, options in row.cases:
            arrays = [np.asarray(row.sample(rng, shape, np.dtype(dtype))) for shape in shapes]
            arrays = [x > 0 if i in row.fixed else x for i, x in enumerate(arrays)]
            if any(x.size < 2 for x in arrays) or is_refused(row, arrays, options):
                continue

            def fn(*tensors, options=options):
                result = row.forms()[0](*tensors, **options)
                return result if isinstance(result, tuple) else [result]

            assert_same_bits(f"{row.name} of {dtype}, {options}", fn, arrays, [range(len(arrays))])
            compared += 1
            break
    assert compared


def is_refused(row, arrays, options):
    try:
        row.forms()[0](*map(Tensor, arrays), **options)
    except (ValueError, TypeError, IndexError, OverflowError):
        return True
    return False
