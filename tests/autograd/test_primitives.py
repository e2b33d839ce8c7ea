"""Every entry of the table: its derivatives to order 2, its layout, its types. A new entry cannot escape."""

from dataclasses import replace

import numpy as np
import pytest

from minitrain import Tensor, check_grads
from minitrain.autograd import primitives
from minitrain.autograd.primitives import special, windows
from minitrain.autograd.primitives.table import TABLE
from minitrain.autograd.tensor import apply

rng = np.random.default_rng(7)


def away_from_0(*shape):
    """Values between 0.3 and 1.7 of either sign: no kink is near."""
    return rng.uniform(0.3, 1.7, shape) * rng.choice([-1.0, 1.0], shape)


def positive(*shape):
    return rng.uniform(0.3, 1.7, shape)


def integers(*values):
    return np.array(values)


A = away_from_0(3, 4)
TIED = np.array([[1.0, 3.0, 3.0], [2.0, 0.5, 1.5]])

# Name -> (inputs, options) pairs at which the entry is differentiable.
CASES = {
    "add": [((A, away_from_0(3, 4)), {})],
    "subtract": [((A, away_from_0(3, 4)), {})],
    "multiply": [((A, away_from_0(3, 4)), {})],
    "divide": [((A, away_from_0(3, 4)), {})],
    "negative": [((A,), {})],
    "power": [((positive(3, 4),), {"exponent": e}) for e in (-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 2.5)],
    "pow": [((positive(3, 4), away_from_0(3, 4)), {})],
    "exp": [((A,), {})],
    "log": [((positive(3, 4),), {})],
    "sqrt": [((positive(3, 4),), {})],
    "sign": [((A,), {})],
    "abs": [((A,), {})],
    "log1p": [((A / 2,), {})],
    "expm1": [((A,), {})],
    "sin": [((A,), {})],
    "cos": [((A,), {})],
    "erf": [((A,), {}), ((A / 4,), {}), ((positive(3, 4) * 3,), {})],
    "softplus": [((A,), {})],
    "tanh": [((A,), {})],
    "sigmoid": [((A,), {})],
    "silu": [((A,), {})],
    "relu": [((A,), {})],
    "maximum": [((A, A + away_from_0(3, 4)), {})],
    "mask": [((A > 0, away_from_0(3, 4)), {})],
    "where": [((A > 0, A, away_from_0(3, 4)), {})],
    "greater": [((A, -A), {})],
    "greater_equal": [((A, -A), {})],
    "less": [((A, -A), {})],
    "less_equal": [((A, -A), {})],
    "equal": [((A, -A), {})],
    "not_equal": [((A, -A), {})],
    "isfinite": [((A,), {})],
    "argmax": [((A,), {"axis": -1}), ((A,), {"axis": -2})],
    "sum": [((A,), {"axes": axes}) for axes in ((-1,), (-2,), (-2, -1))] + [((away_from_0(2, 3, 4),), {"axes": (-3,)})],
    "max": [((A,), {"axes": axes}) for axes in ((-1,), (-2,), (-2, -1))],
    "cumsum": [((A,), {"axis": axis, "backward": backward}) for axis in (-1, -2) for backward in (False, True)],
    "identity": [((A,), {})],
    "cast": [((A,), {"dtype": "float64"})],
    "reinterpret": [((A,), {"dtype": "int64"})],
    "reshape": [((A,), {"shape": (2, 6)}), ((A,), {"shape": (12,)})],
    "broadcast": [
        ((A,), {"shape": (2, 3, 4)}), ((away_from_0(3, 1),), {"shape": (3, 4)}), ((A[0, 0],), {"shape": (2,)}),
    ],
    "transpose": [((A,), {"axes": (-1, -2)}), ((away_from_0(2, 3, 4),), {"axes": (-1, -3, -2)})],
    "concatenate": [((A, away_from_0(2, 4), A), {"axis": -2}), ((A, away_from_0(3, 1)), {"axis": -1})],
    "slice": [((A,), {"key": (slice(0, 2), slice(None, None, -2))})],
    "unslice": [((away_from_0(2, 2),), {"key": (slice(0, 2), slice(0, 4, 2)), "shape": (3, 4)})],
    "take": [((A, integers(2, 0, 2)), {}), ((A[:, 0], np.array([[1, 1], [0, 2]])), {})],
    "scatter_add": [((A, integers(2, 0, 2)), {"size": 5})],
    "unfold": [
        ((away_from_0(2, 7),), {"kernel": (3,), "stride": (2,)}),
        ((away_from_0(1, 2, 3, 4),), {"kernel": (2, 1), "stride": (1, 2)}),
    ],
    "fold": [
        ((away_from_0(2, 3, 2),), {"sizes": (7,), "stride": (3,)}),
        ((away_from_0(2, 2, 1, 2, 2),), {"sizes": (3, 4), "stride": (1, 2)}),
    ],
    "matmul": [
        ((away_from_0(*left), away_from_0(*right)), {"transpose_a": ta, "transpose_b": tb})
        for left, right, ta, tb in (
            ((3, 4), (4, 2), False, False),
            ((4, 3), (4, 2), True, False),
            ((3, 4), (2, 4), False, True),
            ((4, 3), (2, 4), True, True),
            ((3, 1), (1, 2), False, False),
            ((1, 3), (2, 1), True, True),
            ((2, 3, 4), (2, 4, 5), False, False),
        )
    ],
}  # fmt: skip
ALL = [pytest.param(name, i, id=f"{name}-{i}") for name in TABLE for i in range(len(CASES.get(name, ())))]
DIFFERENTIABLE = [p for p in ALL if TABLE[p.values[0]].derivatives]


def function_of_floats(primitive, inputs, options):
    """The primitive as a function of its floating-point inputs alone, and those."""

    def fn(*floats):
        given = iter(floats)
        return apply(primitive, *[next(given) if x.dtype.kind == "f" else Tensor(x) for x in inputs], **options)

    return fn, [x for x in inputs if x.dtype.kind == "f"]


def as_arrays(inputs):
    return [np.asarray(x) for x in inputs]


def test_every_entry_has_a_case():
    assert sorted(CASES) == sorted(TABLE)
    assert all(CASES.values())


@pytest.mark.parametrize(("name", "i"), DIFFERENTIABLE)
def test_derivatives_to_order_2(name, i):
    inputs, options = CASES[name][i]
    fn, floats = function_of_floats(TABLE[name], as_arrays(inputs), options)
    check_grads(fn, *floats, order=2)


@pytest.mark.parametrize(("name", "i"), DIFFERENTIABLE)
def test_the_checker_rejects_a_derivative_wrong_by_a_thousandth(name, i):
    inputs, options = CASES[name][i]
    if (name, options.get("exponent")) == ("power", 0.0):
        inputs, options = (A,), {"exponent": 2.0}  # the derivative of x**0 is 0, a thousandth more is 0 still
    right = TABLE[name]
    for k, derivative in enumerate(right.derivatives):

        def wrong(*args, derivative=derivative, **kwargs):
            result = derivative(*args, **kwargs)
            return None if result is None else result * 1.001

        if name in ("where", "mask") and k == 0:
            continue  # a truth value has no derivative
        broken = replace(right, derivatives=(*right.derivatives[:k], wrong, *right.derivatives[k + 1 :]))
        fn, floats = function_of_floats(broken, as_arrays(inputs), options)
        with pytest.raises(AssertionError, match="differences give"):
            check_grads(fn, *floats, order=1)


@pytest.mark.parametrize(("name", "i"), ALL)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_are_contiguous_and_keep_the_type(name, i, dtype):
    inputs, options = CASES[name][i]
    arrays = [x.astype(dtype) if x.dtype.kind == "f" else x for x in as_arrays(inputs)]
    options = options | ({"dtype": dtype} if name == "cast" else {})
    result = np.asarray(TABLE[name].forward(*arrays, **options))
    assert result.flags.c_contiguous
    if TABLE[name].derivatives or name == "sign":
        assert result.dtype == dtype
    else:
        assert result.dtype.kind in "bi"


@pytest.mark.parametrize(("name", "i"), ALL)
def test_no_result_shares_memory_with_a_leaf(name, i):
    inputs, options = CASES[name][i]
    leaves = [Tensor(x) for x in as_arrays(inputs)]
    result = apply(TABLE[name], *leaves, **options)
    assert not any(np.shares_memory(result.data, leaf.data) for leaf in leaves)


def test_a_sum_over_the_second_last_axis_is_a_product_with_ones():
    x = rng.normal(size=(1437, 10)).astype("float32")
    assert (TABLE["sum"].forward(x, axes=(-2,)) == (np.ones((1, 1437), "float32") @ x)[0]).all()


def test_a_matrix_times_its_transpose_takes_the_same_road_as_any_product():
    x = rng.normal(size=(37, 37)).astype("float32")
    product = TABLE["matmul"].forward(x, x, transpose_a=False, transpose_b=True)
    assert (product == np.matmul(x, x.copy().T)).all()


def test_an_inner_size_of_1_is_a_multiply():
    a, b = rng.normal(size=(5, 1)), rng.normal(size=(1, 7))
    assert (TABLE["matmul"].forward(a, b, transpose_a=False, transpose_b=False) == a * b).all()


def test_tied_entries_share_the_gradient_evenly():
    x = Tensor(TIED, requires_grad=True)
    x.max(axis=1).sum().backward()
    assert x.grad.tolist() == [[0, 0.5, 0.5], [1, 0, 0]]


def test_the_table_holds_what_is_defined():
    values = [value for module in (primitives, special, windows) for value in vars(module).values()]
    defined = [value for value in values if isinstance(value, primitives.Primitive)]
    assert sorted(p.name for p in defined) == sorted(TABLE)
