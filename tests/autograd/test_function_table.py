"""Every public function and method over types, shapes and axes: NumPy's value and type, or a refusal in one line."""

import warnings
import zlib
from importlib.util import find_spec

import numpy as np
import pytest
from function_rows import TYPES
from function_table import NOT_FUNCTIONS, PAGE, TABLE, page

from minitrain import Parameter, Tensor, check_grads
from minitrain import functional as F
from minitrain.autograd.grad import gradients

TOLERANCE = {"float64": 1e-11, "float32": 1e-5}
REFUSALS = (ValueError, TypeError, IndexError, OverflowError, ZeroDivisionError)
IDS = [f"{row.name}-{i}" for i, row in enumerate(TABLE)]


def rng_of(*key):
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def operands(row, shapes, dtypes):
    rng = rng_of(row.name, shapes, [d.name for d in dtypes])
    arrays = [row.sample(rng, shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    return [np.asarray(x > 0 if i in row.fixed else x) for i, x in enumerate(arrays)]


def type_lists(row, count, mixed):
    """The types of the operands: all equal, or also mixed in pairs."""
    names = row.types if count else ()
    if not mixed or count == 1:
        return [[np.dtype(t)] * count for t in names]
    return [[np.dtype(a), *[np.dtype(b)] * (count - 1)] for a in names for b in names]


def reference(row, arrays, options):
    """NumPy's result, or None where it refuses the arguments."""
    free = [x for i, x in enumerate(arrays) if i not in row.fixed]
    dtype = row.type_of([x.dtype for x in free])
    converted = [x if i in row.fixed else x.astype(dtype) for i, x in enumerate(arrays)]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return row.numpy(*converted, **options)
        except (*REFUSALS, np.exceptions.AxisError):
            return None


def call(form, arrays, options):
    """Our result, or the message of the refusal."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")
        try:
            return form(*map(Tensor, arrays), **options)
        except REFUSALS as error:
            message = str(error)
        assert "\n" not in message, message
        return message


def assert_equal(what, result, expected):
    results, expectations = (r if isinstance(r, tuple) else (r,) for r in (result, expected))
    for ours, theirs in zip(results, expectations, strict=True):
        theirs = np.asarray(theirs)
        assert isinstance(ours, Tensor), f"{what}: {ours!r}"
        assert ours.shape == theirs.shape, f"{what}: {ours.shape}, expected {theirs.shape}"
        assert ours.dtype == theirs.dtype, f"{what}: {ours.dtype}, expected {theirs.dtype}"
        close = TOLERANCE.get(ours.dtype.name, 0)
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=close, atol=close, err_msg=what)


def combinations(row, mixed, most):
    """(shapes, options, types): all, or about `most` of them, in which each case and each list of types occurs."""
    chosen = [
        (shapes, options, dtypes) for shapes, options in row.cases for dtypes in type_lists(row, len(shapes), mixed)
    ]
    step = -(-len(chosen) // most)
    if step > 1 and len(chosen) // len(row.cases) % step == 0:
        step += 1  # otherwise the same types would be left out of every case
    return chosen[::step]


def check(row, mixed, most):
    for shapes, options, dtypes in combinations(row, mixed, most):
        arrays = operands(row, shapes, dtypes)
        refusal, expected = row.refuses(types_of_numbers(row, arrays)), reference(row, arrays, options)
        for form in row.forms():
            what = describe(row, arrays, options)
            result = call(form, arrays, options)
            if refusal or expected is None:
                assert isinstance(result, str), f"{what}: {result!r}, expected a refusal"
                assert refusal in result, f"{what}: {result}"
            else:
                assert not isinstance(result, str), f"{what}: {result}"
                assert_equal(what, result, expected)


def describe(row, arrays, options):
    return f"{row.name} of {[f'{x.dtype}{list(x.shape)}' for x in arrays]}, {options}"


def types_of_numbers(row, arrays):
    return [x.dtype for i, x in enumerate(arrays) if i not in row.fixed]


COMPARED = [pytest.param(row, id=name) for row, name in zip(TABLE, IDS, strict=True) if row.numpy]


@pytest.mark.parametrize("row", COMPARED)
def test_values_and_types_are_those_of_numpy(row):
    check(row, mixed=False, most=40)


@pytest.mark.parametrize("row", [p for p in COMPARED if len(p.values[0].cases[0][0]) > 1])
def test_mixed_types_are_promoted(row):
    check(row, mixed=True, most=40)


@pytest.mark.parametrize("row", [p for p in COMPARED if p.values[0].name in F.__all__])
def test_arrays_and_lists_are_taken_as_tensors_are(row):
    """Of float64 and int64, the types of Python's numbers."""
    form = row.forms()[0]
    for shapes, options, dtypes in combinations(row, False, 10**9):
        arrays = operands(row, shapes, dtypes)
        if not {x.dtype.name for x in arrays} <= {"float64", "int64", "bool"} or any(x.size == 0 for x in arrays):
            continue
        expected = call(form, arrays, options)
        if isinstance(expected, str) or any(
            x.ndim == 0 for x in arrays
        ):  # Python's numbers are float64, or take a type
            continue
        for convert in (np.array, np.ndarray.tolist):
            with np.errstate(all="ignore"):
                result = form(*map(convert, arrays), **options)
            assert_equal(f"{row.name} of {convert.__name__}", result, first_or_all(expected))
        return


def first_or_all(result):
    return tuple(t.numpy() for t in result) if isinstance(result, tuple) else result.numpy()


@pytest.mark.slow
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("row", COMPARED)
def test_all_types_shapes_and_axes(row, mixed):
    check(row, mixed, most=10**9)


# PyTorch


def pytorch_result(row, arrays, options):
    """PyTorch's result of the type we compute in, or None where it has no such function, type or arguments."""
    torch = pytest.importorskip("torch")
    dtype = row.type_of(types_of_numbers(row, arrays))
    tensors = [torch.tensor(x if i in row.fixed else x.astype(dtype)) for i, x in enumerate(arrays)]
    for t in tensors:
        t.requires_grad_(t.dtype.is_floating_point)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = row.torch(*tensors, **options)
    except (RuntimeError, TypeError, IndexError, ValueError, NotImplementedError):
        return None, tensors
    return result, tensors


@pytest.mark.parametrize("row", [p for p in COMPARED if p.values[0].torch])
def test_values_are_those_of_pytorch(row):
    compare_with_pytorch(row, most=8)


@pytest.mark.slow
@pytest.mark.parametrize("row", [p for p in COMPARED if p.values[0].torch])
def test_all_values_are_those_of_pytorch(row):
    compare_with_pytorch(row, most=10**9)


def compare_with_pytorch(row, most):
    compared = 0
    for shapes, options, dtypes in combinations(row, False, most):
        arrays = operands(row, shapes, dtypes)
        expected, _ = pytorch_result(row, arrays, options)
        result = call(row.forms()[0], arrays, options)
        if expected is None or isinstance(result, str):  # refused, as test_values_and_types_are_those_of_numpy checks
            continue
        what = describe(row, arrays, options)
        ours = result[0] if isinstance(result, tuple) else result
        assert ours.shape == tuple(expected.shape), what
        close = TOLERANCE.get(ours.dtype.name, 0)
        theirs = expected.detach().numpy()
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=close, atol=close, err_msg=what)
        compared += 1
    assert compared


# Gradients


DIFFERENTIABLE = [p for p in COMPARED if p.values[0].differentiable]


def first_result(result):
    return result[0] if isinstance(result, tuple) else result


def differentiable_cases(row, most):
    """(function of Tensors, operands, options) that are not refused."""
    for shapes, options in row.cases:
        arrays = operands(row, shapes, [np.dtype("float64")] * len(shapes))
        if not isinstance(call(row.forms()[0], arrays, options), str):
            yield arrays, options
            most -= 1
        if not most:
            return


@pytest.mark.parametrize("row", DIFFERENTIABLE)
def test_gradients_to_order_2(row):
    check_gradients(row, most=3)


@pytest.mark.slow
@pytest.mark.parametrize("row", DIFFERENTIABLE)
def test_all_gradients_to_order_2(row):
    check_gradients(row, most=10**9)


@np.errstate(all="ignore")
def check_gradients(row, most):
    """Compare with PyTorch where it computes the same, else with differences."""
    for arrays, options in differentiable_cases(row, most):
        if row.torch is None or find_spec("torch") is None:
            check_with_differences(row, arrays, options)
            continue
        expected, theirs = pytorch_result(row, arrays, options)
        if expected is None:
            check_with_differences(row, arrays, options)
        else:
            compare_gradients(row, arrays, options, expected, theirs)


def check_with_differences(row, arrays, options):
    def fn(*numbers):
        numbers = iter(numbers)
        inputs = [Tensor(x) if i in row.fixed else next(numbers) for i, x in enumerate(arrays)]
        return first_result(row.forms()[0](*inputs, **options))

    if fn(*[Tensor(x) for i, x in enumerate(arrays) if i not in row.fixed]).dtype != "float64":
        return  # differences need all digits
    numbers = [x for i, x in enumerate(arrays) if i not in row.fixed]
    if sum(x.size for x in numbers) < 20:
        check_grads(fn, *numbers)


def compare_gradients(row, arrays, options, expected, theirs):
    torch = pytest.importorskip("torch")
    ours = [Tensor(x) if i in row.fixed else Parameter(x) for i, x in enumerate(arrays)]
    value = first_result(row.forms()[0](*ours, **options))
    ours, theirs = [t for t in ours if t.requires_grad], [t for t in theirs if t.requires_grad]
    for order in (1, 2):
        if not expected.requires_grad or value.dtype.kind != "f":
            assert not value.requires_grad or all(not np.any(g.numpy()) for g in gradients(value.sum(), ours))
            return
        weights = rng_of(row.name, value.shape, order).normal(size=value.shape)
        total, expected_total = (value * weights).sum(), (expected * torch.tensor(weights)).sum()
        gradient = gradients(total, ours)
        try:
            expected_gradient = torch.autograd.grad(expected_total, theirs, create_graph=True, materialize_grads=True)
        except RuntimeError:  # PyTorch has no second derivative
            check_with_differences(row, arrays, options)
            return
        for a, b in zip(gradient, expected_gradient, strict=True):
            what = f"order {order} of {describe(row, arrays, options)}"
            np.testing.assert_allclose(a.numpy(), b.numpy(force=True), rtol=1e-9, atol=1e-9, err_msg=what)
        value = sum((g * g).sum() for g in gradient)
        expected = sum((g * g).sum() for g in expected_gradient)


# The table is complete


def public_names():
    """The functions, and the methods and operators that Tensor has and a plain object has not."""
    defined = {name for cls in Tensor.__mro__[:-1] if cls.__module__.startswith("minitrain") for name in vars(cls)}
    internal = {
        "__slots__",
        "__module__",
        "__doc__",
        "__weakref__",
        "__annotations__",
        "__parameters__",
        "__orig_bases__",
    }
    methods = {name for name in defined - internal if not name.startswith("_") or name.startswith("__")}
    return methods | set(F.__all__)


def test_every_public_name_has_an_entry():
    names = {row.name for row in TABLE}
    assert public_names() - names == NOT_FUNCTIONS.keys()
    assert names - public_names() == set()
    assert {name for name in dir(F) if not name.startswith("_") and callable(getattr(F, name))} == set(F.__all__)


def test_every_row_that_is_compared_nowhere_says_why():
    assert {row.name for row in TABLE if row.numpy is None} == {"dropout"}


def test_the_page_of_functions_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(), "run python tests/function_table.py"


def test_the_table_has_all_types_and_both_libraries():
    assert {t for row in TABLE for t in row.types} == set(TYPES)
    assert sum(row.torch is not None for row in TABLE) > len(TABLE) * 0.9
