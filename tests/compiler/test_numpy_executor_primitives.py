"""Every primitive and its derivatives have the same bits in eager execution, compiled, and in a stack of runs."""

from itertools import combinations

import numpy as np
import pytest
from primitive_cases import CASES, as_arrays
from programs import assert_same_bits
from threadpoolctl import threadpool_limits

from minitrain.autograd.grad import value_and_grad
from minitrain.autograd.primitives.table import TABLE
from minitrain.autograd.tensor import apply

SHAPES = [(), (1,), (7,), (0,), (1, 1), (17, 33), (3, 0), (64, 128), (2, 1, 3, 1, 2)]
SPECIAL = [np.inf, -np.inf, np.nan, 0.0, -0.0, 5e-324, -1e-310, 1e-40, 3e38, 1.0, -1.0]


@pytest.fixture(autouse=True)
def quiet_and_alone():
    """One BLAS thread and no warnings, as in training."""
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
        yield


def floats(*shape, seed=0):
    """Numbers of many magnitudes; larger shapes include nonfinite ones."""
    rng = np.random.default_rng([seed, *shape])
    x = np.asarray(rng.normal(size=shape) * rng.choice([1e-3, 1.0, 1.0, 1.0, 30.0], shape))
    return np.where(rng.random(shape) < 0.15, rng.choice(SPECIAL, shape), x)


def finite(*shape, seed=0):
    return np.asarray(np.random.default_rng([seed, *shape]).normal(size=shape))


def positive(*shape, seed=0):
    return np.abs(finite(*shape, seed=seed))


def booleans(*shape, seed=0):
    return np.asarray(np.random.default_rng([seed, *shape]).random(shape) < 0.5)


def edge_cases(name):
    """(inputs, options) of shapes and values that the cases for derivatives do not include."""
    if TABLE[name].kernel is None:
        inputs, _ = CASES[name][0]
        for shape in SHAPES:
            arrays = [
                booleans(*shape) if np.asarray(x).dtype == bool else floats(*shape, seed=i)
                for i, x in enumerate(inputs)
            ]
            for options in [options for _, options in CASES[name]]:
                yield arrays, options
        if len(inputs) > 1:  # a number against an array, and an array against a number
            for number in range(len(inputs)):
                arrays = [
                    booleans(5, 7) if np.asarray(x).dtype == bool else floats(5, 7, seed=i)
                    for i, x in enumerate(inputs)
                ]
                if arrays[number].dtype != bool and name != "mask":
                    arrays[number] = np.array(2.0)
                    yield arrays, {}
    else:
        yield from KERNEL_EDGES[name]


def _reductions(key, every):
    shapes = [(1, 1), (1, 7), (7, 1), (17, 33), (64, 128), (64, 10), (5, 1, 3), (2, 3, 4, 5)]
    return [
        ((make(*shape),), {key: axis}) for make in (floats, finite) for shape in shapes for axis in every(len(shape))
    ]


def _every_axes(ndim):
    return [axes for n in range(1, ndim + 1) for axes in combinations(range(-ndim, 0), n)]


def _every_axis(ndim):
    return range(-ndim, 0)


def _matmuls():
    sizes = [
        (1, 1, 1),
        (1, 7, 1),
        (7, 1, 1),
        (1, 1, 7),
        (1, 7, 5),
        (5, 7, 1),
        (7, 1, 5),
        (17, 33, 7),
        (64, 128, 10),
        (64, 64, 64),
        (3, 0, 2),
        (0, 3, 2),
        (32, 100, 1),
        (1, 100, 32),
        (2, 2, 2),
        (8, 300, 16),
    ]
    for m, k, n in sizes:
        for ta in (False, True):
            for tb in (False, True):
                for lead in ((), (2,), (3, 1)):
                    a, b = (k, m) if ta else (m, k), (n, k) if tb else (k, n)
                    make = floats if lead == (2,) else finite
                    yield (make(*lead, *a), make(*lead, *b, seed=1)), {"transpose_a": ta, "transpose_b": tb}


KERNEL_EDGES = {
    "pow": [
        *[((floats(*shape), floats(*shape, seed=1)), {}) for shape in SHAPES],
        *[((positive(*shape), np.array(e)), {}) for shape in SHAPES for e in (2.0, 0.5, -1.0, 3.0)],
        ((np.array(2.0), finite(5, 7)), {}),
    ],
    "sum": [
        *_reductions("axes", _every_axes),
        *[
            ((x,), {"axes": axes})
            for x in (np.arange(12).reshape(3, 4), booleans(3, 4), finite(3, 0), finite(0, 3))
            for axes in ((-1,), (-2,), (-2, -1))
        ],
    ],
    "max": _reductions("axes", _every_axes),
    "argmax": _reductions("axis", _every_axis),
    "argsort": _reductions("axis", _every_axis),
    "cumsum": [
        *[(x, options | {"backward": b}) for b in (False, True) for x, options in _reductions("axis", _every_axis)],
        *[((finite(7),), {"axis": -1, "backward": b}) for b in (False, True)],
    ],
    "cast": [
        ((x,), {"dtype": dtype})
        for x in (finite(), finite(0, 3), finite(7) * 100, booleans(3, 4), np.arange(7))
        for dtype in ("float32", "float64", "int64", "bool")
    ],
    "reinterpret": [
        ((np.arange(12, dtype="int64").reshape(3, 4),), {"dtype": "float64"}), ((np.array(3),), {"dtype": "float64"}),
    ],
    "reshape": [
        ((floats(),), {"shape": (1, 1)}), ((floats(1, 1),), {"shape": ()}), ((floats(3, 0),), {"shape": (0, 7)}),
        ((floats(2, 3, 4),), {"shape": (4, 3, 2)}),
    ],
    "broadcast": [
        ((floats(),), {"shape": ()}), ((floats(),), {"shape": (64, 128)}), ((floats(),), {"shape": (0, 3)}),
        ((floats(1),), {"shape": (7,)}), ((floats(33),), {"shape": (17, 33)}),
        ((floats(17, 1),), {"shape": (2, 17, 33)}), ((floats(1, 3, 1),), {"shape": (2, 3, 4)}),
    ],
    "transpose": [
        ((floats(7),), {"axes": (-1,)}), ((floats(1, 7),), {"axes": (-1, -2)}),
        ((floats(64, 128),), {"axes": (-1, -2)}), ((floats(0, 3),), {"axes": (-1, -2)}),
        ((floats(2, 3, 4, 5),), {"axes": (-2, -4, -1, -3)}),
    ],
    "concatenate": [
        ((floats(7), floats(0), floats(1)), {"axis": -1}), ((floats(3, 4),), {"axis": -1}),
        ((floats(2, 1, 3), floats(2, 5, 3)), {"axis": -2}), ((booleans(3), booleans(4)), {"axis": -1}),
        ((floats(64, 3), floats(64, 125)), {"axis": -1}),
    ],
    "slice": [
        ((floats(17),), {"key": (slice(3, 9),)}), ((floats(17),), {"key": (slice(None, None, -1),)}),
        ((floats(17, 33),), {"key": (slice(3, 4), slice(None))}),
        ((floats(17, 33),), {"key": (slice(None), slice(5, 6))}),
        ((floats(5, 7),), {"key": (slice(2, 2), slice(None))}),
        ((floats(2, 3, 4),), {"key": (slice(1, 2), slice(0, 2), slice(None))}),
        ((floats(9),), {"key": (slice(0, 9, 3),)}),
    ],
    "unslice": [
        ((floats(6),), {"key": (slice(3, 9),), "shape": (17,)}),
        ((floats(0, 7),), {"key": (slice(2, 2), slice(None)), "shape": (5, 7)}),
        ((floats(2, 4),), {"key": (slice(None, None, -1), slice(1, 5)), "shape": (2, 7)}),
    ],
    "take": [
        ((floats(5), np.array(3)), {}), ((floats(5, 7), np.array(3)), {}), ((floats(5, 7), np.array([], int)), {}),
        ((floats(64, 3), np.arange(64)[::-1].copy()), {}), ((floats(4, 1, 2), np.array([[0, 3], [1, 1]])), {}),
        ((np.arange(9), np.array([1, 8])), {}),
    ],
    "scatter_add": [
        ((floats(), np.array(3)), {"size": 5}), ((floats(0, 7), np.array([], int)), {"size": 5}),
        ((finite(64, 3), np.arange(64) % 5), {"size": 7}), ((floats(2, 2, 3), np.array([[0, 3], [1, 1]])), {"size": 4}),
    ],
    "unfold": [
        ((floats(7),), {"kernel": (7,), "stride": (1,), "dilation": (1,)}),
        ((floats(2, 5, 5),), {"kernel": (1, 1), "stride": (2, 2), "dilation": (1, 1)}),
        ((floats(0, 5, 5),), {"kernel": (3, 3), "stride": (1, 1), "dilation": (1, 1)}),
        ((floats(2, 5, 5),), {"kernel": (2, 3), "stride": (2, 1), "dilation": (3, 2)}),
    ],
    "fold": [
        ((floats(7, 1),), {"sizes": (7,), "stride": (1,), "dilation": (1,)}),
        ((floats(2, 3, 3, 3, 3),), {"sizes": (5, 5), "stride": (1, 1), "dilation": (1, 1)}),
        ((floats(0, 3, 3, 3, 3),), {"sizes": (5, 5), "stride": (1, 1), "dilation": (1, 1)}),
        ((floats(2, 2, 3, 1, 1),), {"sizes": (5, 5), "stride": (2, 1), "dilation": (3, 2)}),
    ],
    "matmul": list(_matmuls()),
}  # fmt: skip


def of_type(dtype, inputs, name, options):
    arrays = [x.astype(dtype) if x.dtype.kind == "f" else x for x in as_arrays(inputs)]
    if name == "reinterpret":
        integer = {"float32": "int32", "float64": "int64"}[dtype]
        if arrays[0].dtype.kind == "i":
            arrays, options = [arrays[0].astype(integer)], {"dtype": dtype}
        else:
            options = {"dtype": integer}
    return arrays, options


def every_case(name, dtype):
    for inputs, options in [*CASES[name], *edge_cases(name)]:
        yield of_type(dtype, inputs, name, options)


def describe(name, inputs, options):
    return f"{name} of {[list(x.shape) for x in inputs]}, {options}"


def test_every_kernel_has_edge_cases():
    assert sorted(KERNEL_EDGES) == sorted(name for name in TABLE if TABLE[name].kernel is not None)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", TABLE)
def test_values_have_the_same_bits(name, dtype):
    for inputs, options in every_case(name, dtype):

        def fn(*tensors, options=options):
            return [apply(TABLE[name], *tensors, **options)]

        assert_same_bits(describe(name, inputs, options), fn, inputs)


def with_derivatives(name, options, numbers, order):
    """A function of the inputs: the weighted sum of the primitive's entries, and all derivatives up to an order."""

    def weighted(t):
        return (t * np.cos(np.arange(t.size)).reshape(t.shape).astype(t.dtype)).sum()

    def fn(*tensors):
        def total(*tensors):
            return weighted(apply(TABLE[name], *tensors, **options))

        value, firsts = value_and_grad(total, numbers)(*tensors)
        if order == 1:
            return [value, *firsts]

        def slopes(*tensors):
            return sum(weighted(g * g) for g in value_and_grad(total, numbers)(*tensors)[1])

        return [value, *firsts, *value_and_grad(slopes, numbers)(*tensors)[1]]

    return fn


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [name for name in TABLE if TABLE[name].derivatives])
def test_derivatives_have_the_same_bits(name, dtype):
    cases = list(every_case(name, dtype))
    for at, (inputs, options) in enumerate(cases):
        numbers = [i for i, x in enumerate(inputs) if x.dtype.kind == "f"]
        if not numbers or options.get("dtype", "float")[:5] != "float":
            continue
        order = 2 if at < len(CASES[name]) else 1
        what = f"derivatives of {describe(name, inputs, options)}"
        assert_same_bits(what, with_derivatives(name, options, numbers, order), inputs)
