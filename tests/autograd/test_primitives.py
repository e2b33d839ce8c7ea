"""Every entry of the table: derivatives to order 2, memory layout and dtypes."""

from dataclasses import replace

import numpy as np
import pytest
from primitive_cases import CASES, TIED, A, as_arrays, rng

from minitrain import Tensor, check_grads
from minitrain.autograd import primitives
from minitrain.autograd.primitives import special, windows
from minitrain.autograd.primitives.table import TABLE
from minitrain.autograd.tensor import apply

ALL = [pytest.param(name, i, id=f"{name}-{i}") for name in TABLE for i in range(len(CASES.get(name, ())))]
DIFFERENTIABLE = [p for p in ALL if TABLE[p.values[0]].derivatives]


def function_of_floats(primitive, inputs, options):
    """The primitive as a function of its floating-point inputs, and these inputs."""

    def fn(*floats):
        values = iter(floats)
        return apply(primitive, *[next(values) if x.dtype.kind == "f" else Tensor(x) for x in inputs], **options)

    return fn, [x for x in inputs if x.dtype.kind == "f"]


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
        inputs, options = (A,), {"exponent": 2.0}  # the derivative of x**0 is 0, also when scaled
    correct = TABLE[name]
    for k, derivative in enumerate(correct.derivatives):

        def wrong(*args, derivative=derivative, **kwargs):
            result = derivative(*args, **kwargs)
            return None if result is None else result * 1.001

        if name in ("where", "mask") and k == 0:
            continue  # a boolean has no derivative
        broken = replace(correct, derivatives=(*correct.derivatives[:k], wrong, *correct.derivatives[k + 1 :]))
        fn, floats = function_of_floats(broken, as_arrays(inputs), options)
        with pytest.raises(AssertionError, match="differences give"):
            check_grads(fn, *floats, order=1)


@pytest.mark.parametrize(("name", "i"), ALL)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_are_contiguous_and_keep_the_dtype(name, i, dtype):
    inputs, options = CASES[name][i]
    arrays = [x.astype(dtype) if x.dtype.kind == "f" else x for x in as_arrays(inputs)]
    options = options | ({"dtype": dtype} if name == "cast" else {})
    result = np.asarray(TABLE[name].forward(*arrays, **options))
    assert result.flags.c_contiguous
    if TABLE[name].derivatives or name in ("sign", "floor", "round", "floor_divide"):
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


def test_a_matrix_times_its_transpose_has_the_bits_of_any_product():
    x = rng.normal(size=(37, 37)).astype("float32")
    product = TABLE["matmul"].forward(x, x, transpose_a=False, transpose_b=True)
    assert (product == np.matmul(x, x.copy().T)).all()


def test_a_product_with_inner_size_1_is_a_multiplication():
    a, b = rng.normal(size=(5, 1)), rng.normal(size=(1, 7))
    assert (TABLE["matmul"].forward(a, b, transpose_a=False, transpose_b=False) == a * b).all()


def test_tied_entries_share_the_gradient_evenly():
    x = Tensor(TIED, requires_grad=True)
    x.max(axis=1).sum().backward()
    assert x.grad.tolist() == [[0, 0.5, 0.5], [1, 0, 0]]


def test_the_table_contains_every_defined_primitive():
    values = [value for module in (primitives, special, windows) for value in vars(module).values()]
    defined = [value for value in values if isinstance(value, primitives.Primitive)]
    assert sorted(p.name for p in defined) == sorted(TABLE)
