"""Types of values: what carries a gradient, which types are taken, and what is refused in one line."""

import math
from operator import add, and_, floordiv, ge, gt, invert, le, lt, mod, mul, ne, or_, xor

import numpy as np
import pytest

from minitrain import Parameter, Tensor, grad
from minitrain import functional as F

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


# Gradients


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
def test_integers_and_booleans_carry_no_gradient(dtype):
    w = Parameter([1.5, -2.5])
    for result in (w.astype(dtype), w.astype(dtype) * 2, w > 0, w.argsort(), w.astype(dtype).astype("float64")):
        assert not result.requires_grad
    with pytest.raises(ValueError, match="carries no gradient"):
        w.astype(dtype).astype("float64").sum().backward()


@pytest.mark.parametrize("fn", [F.floor, F.ceil, F.round, F.sign, lambda x: x // 2.0])
def test_steps_carry_no_gradient(fn):
    assert not fn(Parameter([1.5, -2.5])).requires_grad


def test_gradients_flow_to_the_tensors_in_a_list():
    w, v = Parameter(2.0), Parameter(3.0)
    for fn in (
        F.sum,
        lambda x: F.sum(F.stack(x)),
        lambda x: Tensor([1.0, 1.0]) @ x,
        lambda x: F.concatenate([x, x])[:2].sum(),
    ):
        w.zero_grad()
        v.zero_grad()
        fn([w, v]).backward()
        assert (w.grad, v.grad) == (1, 1)
    assert F.sum([[w, 1.0], [2.0, v]]).item() == 8


@pytest.mark.parametrize("value", [[Parameter(1.0), Parameter(2.0)], [[1.0, Parameter(2.0)]], (Parameter([1.0]),)])
def test_a_leaf_is_not_made_of_values_with_a_gradient(value):
    with pytest.raises(TypeError, match=r"a list of values that carry gradients, which would be lost; use stack"):
        Tensor(value)
    assert Tensor([Tensor(1.0), Tensor(2.0)]).numpy().tolist() == [1, 2]


@pytest.mark.parametrize("join", [lambda a, b: F.concatenate([a, b]), lambda a, b: F.stack([a, b]).reshape(-1)])
def test_joined_values_have_a_common_type(join):
    single, double = Parameter(np.float32([0.5])), Parameter([1e300])
    for pair in ((single, double), (double, single)):
        joined = join(*pair)
        assert joined.dtype == "float64"
        assert 1e300 in joined.numpy()
    joined.sum().backward()
    assert (single.grad.dtype, double.grad.dtype) == ("float32", "float64")
    assert join(Tensor([1, 2]), Tensor([True, False])).dtype == "int64"
    assert F.stack([Tensor(1), 2.5, np.float32(0.5)]).numpy().tolist() == [1, 2.5, 0.5]
    assert F.stack([single[0], 2.5]).dtype == "float32"


def test_equal_entries_keep_their_order():
    x = Tensor(np.arange(200.0) // 50 % 2)
    for descending in (False, True):
        order = x.argsort(descending=descending).numpy()
        first, second = order[:100], order[100:]
        assert (np.diff(first) > 0).all()
        assert (np.diff(second) > 0).all()


@pytest.mark.parametrize(("ta", "tb"), [(False, True), (True, False), (True, True), (False, False)])
def test_products_of_float32_and_float64(ta, tb):
    x, y = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    a, b = Parameter((x.T if ta else x).astype("float32")), Parameter(y.T if tb else y)
    product = a.matmul(b, ta, tb)
    np.testing.assert_array_equal(product.numpy(), x @ y)
    product.sum().backward()
    assert (product.dtype, a.grad.dtype, b.grad.dtype) == ("float64", "float32", "float64")
    mixed = F.linear(a, b) if tb and not ta else None
    assert mixed is None or mixed.dtype == "float64"


# Arithmetic of integers


@pytest.mark.parametrize("dtype", INTEGERS)
def test_smallest_and_largest_integers(dtype):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    x = Tensor(np.array([low, high], dtype))
    assert (x.min().item(), x.max().item()) == (low, high)
    assert x.minimum(x[::-1].reshape(2)).numpy().tolist() == [low, low]
    assert (x.argmin().item(), x.argmax().item()) == (0, 1)
    assert x.sort(descending=True).numpy().tolist() == [high, low]
    assert x.min().dtype == dtype


def test_truth_values():
    x = Tensor([True, False])
    assert (x.min().item(), x.max().item(), x.min().dtype) == (False, True, np.dtype(bool))
    assert x.minimum([True, True]).numpy().tolist() == [True, False]
    assert (x.sum().item(), x.sum().dtype, x.mean().item()) == (1, np.dtype("int64"), 0.5)


def test_variance_of_bytes_is_that_of_their_numbers():
    x = np.random.default_rng(0).integers(0, 256, (200, 3)).astype("uint8")
    assert F.var(x).item() == pytest.approx(x.astype("float64").var(ddof=1), rel=1e-14)
    assert F.var(np.array([100, 200], "uint8")).item() == 5000


def test_powers_of_integers():
    x = Tensor([1, 2, 4])
    for exponent in (0, 1, 2, 3, np.int64(2)):
        assert (x**exponent).dtype == "int64"
        assert (x**exponent).numpy().tolist() == [n ** int(exponent) for n in (1, 2, 4)]
    for exponent in (-1, -2, 0.5, 2.0, np.float64(-1)):
        assert (x**exponent).dtype == "float64"
        assert (x**exponent).numpy().tolist() == [float(n) ** float(exponent) for n in (1, 2, 4)]
    assert (2**x).numpy().tolist() == [2, 4, 16]
    assert (Tensor([True, False]) ** 0).numpy().tolist() == [1, 1]


@pytest.mark.parametrize("op", [add, mul, floordiv, mod, and_, or_, xor])
def test_a_python_number_takes_the_type_of_integers(op):
    x = Tensor(np.array([7, 9], "uint8"))
    for result, expected in ((op(x, 3), [op(7, 3), op(9, 3)]), (op(3, x), [op(3, 7), op(3, 9)])):
        assert result.dtype == "uint8"
        assert result.numpy().tolist() == expected


def test_comparisons_with_integers_beyond_the_type():
    x = Tensor(np.array([0, 255], "uint8"))
    for op in (gt, ge, lt, le, ne):
        for number in (-1, 256, 2**70):
            assert op(x, number).numpy().tolist() == [op(0, number), op(255, number)]
    assert (x == 256).numpy().tolist() == [False, False]


def test_bits_of_integers_and_truth_values():
    a, b = Tensor([12, -5]), Tensor([10, 3])
    assert [(a & b).numpy().tolist(), (a | b).numpy().tolist(), (a ^ b).numpy().tolist()] == [[8, 3], [14, -5], [6, -8]]
    assert invert(a).numpy().tolist() == [-13, 4]
    x = Tensor([1.0, -1.0])
    assert (~(x > 0) | (x > 5)).numpy().tolist() == [False, True]


def test_division_with_remainder_has_the_sign_of_the_divisor():
    a, b = Tensor([7.5, -7.5]), 2.0
    assert (a // b).numpy().tolist() == [3, -4]
    assert (a % b).numpy().tolist() == [1.5, 0.5]
    assert (7 // Tensor([2, -2])).numpy().tolist() == [3, -4]
    assert grad(lambda a, b: a % b, (0, 1))(7.5, 2.0)[1].item() == -3


# Types that are taken or refused


def test_arrays_of_the_other_byte_order_are_converted():
    swapped = np.array([1.5, 2.5], np.dtype("float64").newbyteorder())
    assert Tensor(swapped).dtype == np.dtype("float64")
    assert (Tensor([1.0, 1.0]) + swapped).numpy().tolist() == [2.5, 3.5]


@pytest.mark.parametrize("dtype", ["float16", "longdouble", "complex128"])
def test_other_types_are_refused(dtype):
    if np.dtype(dtype) == np.float64:
        pytest.skip("a long double is a double here")
    array = np.ones(2, dtype)
    for call in (
        lambda: Tensor(array),
        lambda: Tensor([1.0, 2.0]) * array,
        lambda: Tensor([1.0]).astype(dtype),
        lambda: F.exp(array),
    ):
        with pytest.raises(
            TypeError, match=r"expected (float32, float64, integers or booleans|a real number)"
        ) as error:
            call()
        assert "\n" not in str(error.value)


def test_numbers_of_other_types_take_the_type_of_the_tensor():
    for number in (np.float16(2), np.longdouble(2), np.int8(2)):
        assert (Tensor([1.5]) * number).numpy().tolist() == [3]


def negative_power():
    return Tensor([1, 2]) ** Tensor([1, -1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Tensor(1.0) == None, TypeError, "None beside a Tensor: .* write `t is None`"),  # noqa: E711
        (lambda: 1j * Tensor(1.0), TypeError, "1j beside a Tensor: expected a real number"),
        (lambda: Tensor([1.0]) & True, TypeError, "&: float64 given, expected integers or booleans"),
        (lambda: ~Tensor([1.0]), TypeError, "~: float64 given"),
        (lambda: -Tensor([True]), TypeError, "negative: booleans given"),
        (lambda: Tensor([1, 2]) // 0, ZeroDivisionError, "floor_divide: integers divided by 0"),
        (lambda: 5 % Tensor([1, 0]), ZeroDivisionError, "remainder: integers divided by 0"),
        (negative_power, ValueError, "pow: an integer to a negative power"),
        (lambda: Tensor(np.array([1], "uint8")) + 300, OverflowError, "300 out of bounds for uint8"),
        (lambda: F.hardtanh(1.0, 2.0, 1.0), ValueError, "low=2.0, high=1.0"),
        (lambda: F.pad(np.ones((2, 2)), 0.5), ValueError, "expected 2 pairs"),
        (lambda: F.norm([1.0], ord="fro"), TypeError, "norm: ord='fro': expected a number"),
        (lambda: F.round([1.0], 0.5), TypeError, "round: decimals=0.5: expected an integer"),
        (lambda: Tensor([1]).round(-1), TypeError, "decimals=-1 of int64"),
        (
            lambda: F.sum(np.ones((2, 2)), (0, -2)),
            ValueError,
            r"sum: axis \(0, -2\) of shape \[2, 2\]: an axis is given twice",
        ),
        (lambda: F.softmax(np.ones((2, 2)), (0, 1)), TypeError, r"softmax: axis \(0, 1\): expected an integer"),
        (lambda: F.max(np.ones((0, 3)), 0), ValueError, r"max: shape \[0, 3\], axes \[-2\]: no entries"),
        (lambda: F.argmax([]), ValueError, "argmax: shape .* no entries"),
        (lambda: F.take_along_axis([1.0], [True]), TypeError, "bool given, expected integers"),
        (lambda: Tensor([1.0, 2.0]).narrow(0, 1, 2), IndexError, "narrow: 2 entries from 1 on, of 2"),
        (lambda: Tensor([1.0, 2.0]).take([2]), IndexError, "2 is out of range for axis 0 of size 2"),
        (lambda: Tensor(1.0).take([0]), ValueError, "a 0-d tensor has no rows"),
        (lambda: F.embedding([0], [1.0]), ValueError, r"weight \[1\]: expected \[rows, width\]"),
        (lambda: F.linear(np.ones(3), np.ones(3)), ValueError, r"weight \[3\]: expected \[out, in\]"),
        (lambda: F.linear(np.ones(3), np.ones((2, 3)), np.ones(3)), ValueError, r"bias \[3\]: expected \[2\]"),
        (lambda: F.topk([1.0], 2), ValueError, "topk: k=2 of 1 entries"),
        (lambda: F.einsum("ij,jk", np.ones((2, 3))), ValueError, "2 groups of letters, and 1 operands"),
        (lambda: F.einsum("i-j", [1.0]), ValueError, "expected letters, commas"),
        (lambda: F.einsum("ij->i", [1.0]), ValueError, r"ij for an operand of shape \[1\]"),
        (lambda: F.einsum("i,i", [1.0, 2.0], [1.0, 2.0, 3.0]), ValueError, "axis i has sizes 2 and 3"),
        (lambda: F.einsum("i->ij", [1.0]), ValueError, "the result must name axes of the operands"),
        (lambda: F.einsum("ii", np.ones((2, 3))), ValueError, "axis i has sizes 2 and 3"),
        (lambda: F.sum([Parameter([1.0]), Parameter([1.0, 2.0])]), ValueError, r"shapes \[1\], \[2\]: expected equal"),
        (lambda: Tensor([1.0]).matmul([1.0], True), ValueError, "a factor without two axes is transposed"),
        (lambda: F.flatten(np.ones((2, 3)), 1, 0), ValueError, "expected start before end"),
        (
            lambda: F.conv1d(np.ones((1, 4, 3)), np.ones((3, 2, 1)), groups=2),
            ValueError,
            "cannot be divided into 2 groups",
        ),
        (
            lambda: F.conv1d(np.ones((1, 4, 3)), np.ones((4, 4, 1)), groups=2),
            ValueError,
            r"2 times that of the weight \(groups\)",
        ),
        (
            lambda: F.conv1d(np.ones((1, 1, 4)), np.ones((1, 1, 3)), dilation=2),
            ValueError,
            r"dilation \[2\], padded input \[4\]",
        ),
    ],
)
def test_invalid_arguments_have_clear_errors(call, error, message):
    with pytest.raises(error, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


# Values at the ends of domains


def test_inverse_functions_at_the_ends_of_their_domains():
    for fn, x, value, slope in (
        (F.arcsin, 1.0, math.pi / 2, math.inf), (F.arcsin, -1.0, -math.pi / 2, math.inf), (F.arccos, 1.0, 0, -math.inf),
        (F.arccos, -1.0, math.pi, -math.inf), (F.arctanh, 1.0, math.inf, math.inf), (F.arccosh, 1.0, 0, math.inf),
        (F.arcsinh, 0.0, 0, 1), (F.arctan, math.inf, math.pi / 2, 0),
    ):  # fmt: skip
        assert fn(x).item() == pytest.approx(value, abs=1e-15)
        assert grad(fn)(x).item() == slope
    for fn, x in ((F.arcsin, 1.5), (F.arccos, -1.5), (F.arccosh, 0.5), (F.arctanh, 2.0)):
        assert math.isnan(fn(x).item())


@pytest.mark.parametrize("name", ["arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_inverse_functions_are_accurate_to_a_few_units_in_the_last_place(name, dtype):
    near_0, near_1 = np.geomspace(1e-30, 0.9, 1000), 1 - np.geomspace(1e-15, 0.5, 1000)
    x = np.concatenate([np.linspace(-1, 1, 2001), near_0, -near_0, near_1, -near_1])
    if name == "arccosh":
        x = np.concatenate([1 + near_0, 1 + np.geomspace(1e-14, 1e30, 2000)])
    elif name in ("arctan", "arcsinh"):
        x = np.concatenate([x, np.geomspace(1, 1e30, 1000)])
    x = x.astype(dtype)
    with np.errstate(divide="ignore"):
        exact = getattr(np, name)(x.astype("longdouble"))
    x, exact = x[np.isfinite(exact)], exact[np.isfinite(exact)]
    apart = np.abs(getattr(F, name)(x).numpy() - exact)
    assert (apart <= 3 * np.spacing(np.abs(exact).astype(dtype))).all()
    if name in ("arcsinh", "arccosh") and dtype == "float64":
        assert getattr(F, name)(1.5e308).item() == pytest.approx(math.log(3e307) + math.log(10), rel=1e-15)


def test_softmax_and_logsumexp_of_no_entries():
    assert F.softmax(np.empty((2, 0))).shape == F.log_softmax(np.empty((2, 0))).shape == (2, 0)
    assert F.logsumexp([]).item() == -math.inf
    assert F.logsumexp(np.empty((2, 0))).numpy().tolist() == [-math.inf] * 2


def test_masks_as_indices():
    x = np.arange(6.0).reshape(2, 3)
    for key in (True, False, np.bool_(True), (True, 0), [True, False], (0, [True, False, True])):
        p = Parameter(x)
        np.testing.assert_array_equal(p[key].numpy(), x[key])
        p[key].sum().backward()
        expected = np.zeros_like(x)
        expected[key] = 1
        np.testing.assert_array_equal(p.grad, expected)


# Writes to `data`


def test_reading_data_costs_nothing_once_the_array_is_dropped():
    w = Parameter(np.ones(3))
    assert w.data.sum() == 3
    w * 2.0  # the look at which the array turns out to be free
    assert w._exposed is None


def test_writes_through_a_view_are_detected_while_it_is_in_use():
    w = Parameter(np.ones((2, 2)), "w")
    part = w.data[0].reshape(2, 1).T[..., :1]
    loss = (w * w).sum()
    part[...] = 5.0
    with pytest.raises(RuntimeError, match="w was overwritten"):
        loss.backward()
    loss = (w * w).sum()
    loss.backward()
    assert w.grad.tolist() == [[10, 2], [2, 2]]
    del part
    w * 2.0
    assert w._exposed is None


def test_a_write_before_the_array_is_dropped_is_detected():
    w = Parameter([1.0, 2.0], "w")
    array = w.data
    loss = (w * w).sum()
    array[0] = 7.0
    del array
    with pytest.raises(RuntimeError, match="w was overwritten"):
        loss.backward()
    assert w.data is w.data or w.data[0] == 7


@pytest.mark.parametrize("value", [np.float32(1.5), 2.0, np.ones((0, 3)), np.array([True]), np.array([1], "int8")])
def test_data_of_any_type_and_shape_can_be_written_to(value):
    t = Tensor(value)
    assert t.data.dtype == t.dtype
    t.data[...] = 0
    assert not t.numpy().any()


def test_tolist():
    assert Tensor([[1, 2]]).tolist() == [[1, 2]]
    assert Tensor(1.5).tolist() == 1.5
