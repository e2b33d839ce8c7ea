"""Tensors and their graph: dtypes, shapes, operators, gradients, memory, and invalid arguments."""

import gc
import threading
import weakref
from functools import reduce
from itertools import combinations
from operator import add, eq, gt, matmul, mul, pow, sub, truediv

import numpy as np
import pytest

from minitrain import Parameter, Tensor, check_grads, no_grad, optim
from minitrain.autograd.flat import FlatParameters
from minitrain.autograd.formula import LONGEST, formula
from minitrain.autograd.functional.arrays import concatenate


def grads(fn, *values):
    parameters = [Parameter(v) for v in values]
    fn(*parameters).sum().backward()
    return [p.grad for p in parameters]


# Dtypes


@pytest.mark.parametrize("value", [3, 3.0, True, np.float32(3), [1.0, 2.0], np.arange(3), np.ones(2, "f4")])
def test_dtypes_of_tensors(value):
    expected = (
        np.float64 if isinstance(value, (int, float)) and not isinstance(value, bool) else np.asarray(value).dtype
    )
    assert Tensor(value).dtype == expected


@pytest.mark.parametrize("other", [2, 2.0, np.float64(2), np.float32(2), np.array(2.0), np.int64(2), True])
@pytest.mark.parametrize("op", [add, sub, mul, truediv, pow, gt, eq])
def test_a_scalar_never_promotes_float32(other, op):
    for number_first in (False, True):
        p = Parameter(np.ones(3, "float32"))
        result = op(other, p) if number_first else op(p, other)
        assert isinstance(result, Tensor)
        assert result.dtype == ("bool" if op in (gt, eq) else "float32")
        if op not in (gt, eq):
            result.sum().backward()
            assert p.grad.dtype == "float32"


@pytest.mark.parametrize("op", [add, sub, mul, truediv, pow, matmul])
def test_operators_accept_arrays_on_either_side(op):
    a, b = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[2.0, 0.5], [1.0, 3.0]])
    expected = op(a, b)
    for left, right in ((Tensor(a), b), (a, Tensor(b)), (Tensor(a), Tensor(b))):
        result = op(left, right)
        assert isinstance(result, Tensor)
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-15)


@pytest.mark.parametrize("op", [add, sub, mul, truediv, pow, matmul])
def test_gradients_with_a_number_or_an_array_on_either_side(op):
    x, array = np.array([[1.0, 2.0], [3.0, 0.5]]), np.array([[2.0, 1.0], [0.5, 3.0]])
    numbers = [] if op is matmul else [2, 2.0, np.float64(2), np.array(2.0)]
    for other in [array, *numbers]:
        check_grads(lambda t, other=other: op(t, other), x, order=1)
        check_grads(lambda t, other=other: op(other, t), x, order=1)


def test_a_float64_array_promotes_and_the_gradient_is_converted_to_float32():
    w = Parameter(np.ones((2, 2), "float32"))
    loss = (w * np.full((2, 2), 3.0)).sum()
    assert loss.dtype == "float64"
    loss.backward()
    assert w.grad.dtype == "float32"
    assert (w.grad == 3).all()


# Shapes: the gradient of an operand has its shape


@pytest.mark.parametrize(
    ("a", "b"),
    [((3,), (2, 3)), ((), (2, 3)), ((1, 4), (3, 1)), ((2, 1, 3), (4, 1)), ((1,), ()), ((0, 3), (3,)), ((2, 3), (2, 3))],
)
@pytest.mark.parametrize("op", [add, sub, mul, truediv, Tensor.maximum, lambda p, q: (p > q).where(p, q)])
def test_broadcasting_gradients(a, b, op):
    rng = np.random.default_rng(0)
    x, y = rng.uniform(1, 2, a), rng.uniform(3, 4, b)
    gx, gy = grads(op, x, y)
    assert gx.shape == a
    assert gy.shape == b
    repeats = np.broadcast_shapes(a, b)
    if op not in (add, sub, mul, truediv):  # y is larger everywhere
        assert gx.sum() == 0
        assert gy.sum() == np.prod(repeats)
    check_grads(op, x, y, order=1)


def test_gradients_of_indexing():
    x = np.arange(12.0).reshape(3, 4)
    for key in (0, -1, slice(1, None), (slice(None), 2), (Ellipsis, slice(None, None, -1)), (None, 1), [0, 0, 2], -1):
        p = Parameter(x)
        selected = p[key]
        np.testing.assert_array_equal(selected.numpy(), x[key])
        selected.sum().backward()
        expected = np.zeros_like(x)
        np.add.at(expected, key, 1.0)
        np.testing.assert_array_equal(p.grad, expected)
    for key in (x > 5, ([0, 1], [1, 1]), (slice(0, 2), [0, 0]), np.array([[0, 1], [1, 0]]), np.array([-1, 0, -1])):
        p = Parameter(x)
        np.testing.assert_array_equal(p[key].numpy(), x[key])
        p[key].sum().backward()
        expected = np.zeros_like(x)
        np.add.at(expected, key, 1.0)
        np.testing.assert_array_equal(p.grad, expected)


def test_gradients_of_repeated_indices_are_summed():
    assert grads(lambda x: x[[0, 0, 1]], [5.0, 6.0])[0].tolist() == [2, 1]


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "mean", "max"])
def test_reductions_match_numpy(name, axis, keepdims):
    x = np.random.default_rng(1).normal(size=(2, 3, 4))
    result = getattr(Tensor(x), name)(axis, keepdims)
    expected = getattr(x, name)(axis=axis, keepdims=keepdims)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("a", "b"), [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((5, 2, 3), (3, 4)), ((1, 1), (1, 1))]
)
def test_products_match_numpy(a, b):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=a), rng.normal(size=b)
    result = Tensor(x) @ Tensor(y)
    assert result.shape == (x @ y).shape
    np.testing.assert_allclose(result.numpy(), x @ y, rtol=1e-14)


# Uses of a value


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (lambda x: x + x, 2),
        (lambda x: x * x, 6),
        (lambda x: x - x, 0),
        (lambda x: x / x + x**2, 6),
        (lambda x: reduce(add, [x * k for k in range(10)]), 45),
        (lambda x: reduce(mul, [x] * 5), 405),
    ],
)
def test_each_use_of_a_value_contributes_once(fn, expected):
    assert grads(fn, 3.0)[0] == expected


def test_gradients_are_separate_arrays_and_reach_every_node():
    a, b = Parameter([1.0, 2.0]), Parameter([3.0, 4.0])
    c = a + b
    c.sum().backward()
    assert not any(np.shares_memory(p, q) for p, q in combinations([a.grad, b.grad, c.grad], 2))
    assert c.grad.tolist() == [1, 1]


def test_a_second_backward_accumulates():
    a = Parameter(3.0)
    square = a * a
    square.backward()
    square.backward()
    assert (a.grad, square.grad) == (12, 2)
    assert type(a.grad) is type(square.grad) is np.ndarray
    assert Parameter(1.0).grad is None


def test_a_chain_of_100_000_operations():
    a = Parameter(1.0, "a")
    x = a * 1.0
    first = weakref.ref(x)
    for _ in range(50_000):
        x = x * 1.0 + 0.0
    x.backward()
    assert a.grad == 1
    assert len(repr(x)) < 3000
    del x
    assert first() is None


def test_an_expression_with_shared_parts_prints_in_bounded_time():
    x = Parameter(1.0, "x")
    for _ in range(200):
        x = x * x
    assert str(x).count("…") == 2
    assert formula(x) == str(x).partition(" = ")[0].removeprefix("Parameter ")
    assert len(formula(x)) == LONGEST + 1
    assert formula(x).endswith("…")


def test_1000_dropped_graphs_are_freed():
    gc.collect()
    gc.disable()
    try:
        w = Parameter(np.ones((3, 3)), "w")
        alive = []
        for _ in range(1000):
            loss = ((w @ w).tanh().sum(axis=0) * w[0]).max() + w.mean()
            loss.backward()
            nodes, stack = {}, [loss]
            while stack:
                node = stack.pop()
                nodes[id(node)] = weakref.ref(node)
                stack += node.inputs
            del node, stack
            alive += [ref for key, ref in nodes.items() if key != id(w)]
            w.zero_grad()
        assert len(alive) > 8000
        del loss
        assert not any(ref() for ref in alive)
    finally:
        gc.enable()


# Writing to values


def test_a_leaf_can_be_written_to_after_backward():
    w = Parameter([1.0, 2.0], "w")
    loss = (w * w).sum()
    loss.backward()
    w.data -= 0.5 * w.grad
    assert w.numpy().tolist() == [0, 0]


def _in_place(w):
    w.data[0] = 7.0


def _through_an_alias(w, held=[]):  # noqa: B006
    held.append(w.data)
    held[-1][0] = 7.0


def _assigned(w):
    w.data = np.array([7.0, 2.0])


def _augmented(w):
    w.data *= 2.0


@pytest.mark.parametrize("write", [_in_place, _through_an_alias, _assigned, _augmented])
@pytest.mark.parametrize(
    "fn", [lambda w: w * w, lambda w: w.exp() + w, lambda w: w.reshape(2, 1) * 2, lambda w: w[:1] ** 2]
)
def test_a_write_between_use_and_derivative_is_detected(write, fn):
    w = Parameter([1.0, 2.0], "w")
    loss = fn(w).sum()
    write(w)
    with pytest.raises(RuntimeError, match="Parameter w was overwritten"):
        loss.backward()


def test_an_optimizer_step_between_use_and_derivative_is_detected():
    w = Parameter([1.0, 2.0], "w")
    opt = optim.SGD([w], lr=0.1)
    first, second = (w * w).sum(), (w * w).sum()
    first.backward()
    opt.step()
    with pytest.raises(RuntimeError, match="Parameter w was overwritten"):
        second.backward()


def test_the_ends_of_an_axis_can_be_indexed():
    x = Tensor([1.0, 2.0, 3.0])
    assert [x[-3].item(), x[2].item(), *x[[-3, 2]].numpy()] == [1, 3, 1, 3]


def test_a_dtype_change_between_use_and_derivative_is_detected():
    w = Parameter([0.1], "w")
    loss = (w * w).sum()
    FlatParameters({"w": w}, "float32")
    with pytest.raises(RuntimeError, match="Parameter w was overwritten"):
        loss.backward()


def test_index_arrays_are_copied():
    w, rows = Parameter([1.0, 2.0, 3.0]), np.array([0, 0, 1])
    selected = w[rows].sum()
    rows[:] = 2
    selected.backward()
    assert w.grad.tolist() == [2, 1, 0]


def test_reading_data_is_not_a_write():
    w = Parameter([1.0, 2.0])
    loss = (w * w).sum()
    assert w.data.sum() == 3
    loss.backward()


def test_an_overwritten_constant_is_detected():
    x, w = Tensor([1.0, 2.0], "x"), Parameter([1.0, 1.0])
    loss = (x * w).sum()
    x.data[0] = 5.0
    with pytest.raises(RuntimeError, match="x was overwritten"):
        loss.backward()


def test_the_value_of_a_result_is_read_only():
    w = Parameter([1.0, 2.0])
    for result in (w * 2.0, w.reshape(2, 1)):
        with pytest.raises(ValueError, match="read-only"):
            result.data[0] = 1.0
        with pytest.raises(ValueError, match="cannot be replaced"):
            result.data = np.zeros(result.shape)


def test_a_tensor_copies_its_argument():
    array = np.ones(2)
    t = Tensor(array)
    array[0] = 5
    assert t.numpy().tolist() == [1, 1]


# Invalid arguments


def overwritten_shape():
    Parameter([1.0, 2.0], "w").data = np.zeros(3)


def entry_assigned():
    Parameter([1.0, 2.0], "w")[0] = 3.0


def augmented(operator):
    exec(f"w {operator} 2.0", {"w": Parameter([1.0, 2.0], "w")})


@no_grad()
def without_graph():
    return Parameter(2.0) * 2.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Parameter(np.arange(3)), TypeError, "int64 cannot carry a gradient"),
        (lambda: Tensor(np.arange(3), requires_grad=True), TypeError, "int64 cannot carry a gradient"),
        (lambda: Parameter(True), TypeError, "bool cannot carry a gradient"),
        (lambda: Tensor("text"), TypeError, "expected float32, float64"),
        (lambda: (Parameter([1.0, 2.0]) * 2).backward(), ValueError, r"from a scalar only, this value has shape \[2\]"),
        (lambda: (Parameter([1.0]) * 2).backward(np.ones(2)), ValueError, r"gradient of shape \[2\] given"),
        (lambda: without_graph().backward(), ValueError, "carries no gradient"),
        (lambda: (without_graph() * 2.0).backward(), ValueError, "carries no gradient"),
        (lambda: Tensor(2.0).backward(), ValueError, "carries no gradient"),
        (overwritten_shape, ValueError, r"Parameter w: a value of shape \[3\] was assigned, expected \[2\]"),
        (lambda: Tensor(np.ones((64, 8))) @ np.ones((16, 1)), ValueError, "inner sizes 8 and 16 differ"),
        (lambda: Tensor(np.ones((2, 3, 4))) @ np.ones((5, 4, 1)), ValueError, "leading axes"),
        (lambda: Tensor(2.0) @ np.ones(3), ValueError, "a scalar has no inner size"),
        (lambda: Tensor(np.ones(3)) + np.ones(4), ValueError, r"add: shapes \[3\], \[4\] cannot be broadcast"),
        (lambda: Tensor(np.ones(3)).reshape(2, 2), ValueError, r"3 entries, which do not fit shape \[2, 2\]"),
        (lambda: Tensor(np.ones(3)).reshape(-1, 2), ValueError, "do not fit"),
        (lambda: Tensor(np.ones((2, 3))).transpose(0, 0), ValueError, "each of the 2 axes once"),
        (lambda: Tensor(np.ones(3)).broadcast_to((2, 4)), ValueError, "cannot be broadcast to"),
        (lambda: Tensor(np.ones(3)).broadcast_to(()), ValueError, "cannot be broadcast to"),
        (lambda: Tensor(np.ones(3)).sum(axis=1), ValueError, "axis 1 of shape"),
        (lambda: Tensor(np.ones(3))[5], IndexError, "5 is out of range for axis 0 of size 3; expected -3 to 2"),
        (lambda: Tensor(np.ones(3))[3], IndexError, "3 is out of range"),
        (lambda: Tensor(np.ones(3))[-4], IndexError, "-4 is out of range"),
        (lambda: Tensor(np.ones(3))[[-4]], IndexError, "-4 is out of range"),
        (lambda: Tensor(np.ones(3))[[0, 5]], IndexError, "5 is out of range"),
        (lambda: Tensor(np.ones(3))[0, 0], IndexError, "2 indices given"),
        (lambda: float(Tensor([1.0, 2.0])), ValueError, "expected one element"),
        (lambda: bool(Tensor([1.0, 2.0]) > 0), ValueError, "expected one element"),
        (lambda: len(Tensor(1.0)), TypeError, "0-d tensor has no length"),
        (entry_assigned, TypeError, r"Parameter w: item assignment is not supported, .* write to a leaf's .data"),
        (lambda: augmented("+="), TypeError,
         r"Parameter w: .* replace the Parameter by a result, .*w.data -= lr \* w.grad"),
        (lambda: augmented("-="), TypeError, "replace the Parameter by a result"),
        (lambda: augmented("*="), TypeError, "replace the Parameter by a result"),
        (lambda: augmented("/="), TypeError, "replace the Parameter by a result"),
        (lambda: augmented("**="), TypeError, "replace the Parameter by a result"),
        (lambda: augmented("@="), TypeError, "replace the Parameter by a result"),
        (lambda: Tensor(1.0) + None, TypeError, "None beside a Tensor: expected a real number"),
        (lambda: "text" * Tensor(1.0), TypeError, "'text' beside a Tensor"),
        (lambda: Tensor(1.0) * 1j, TypeError, "1j beside a Tensor"),
        (lambda: Tensor([1.0]) * np.array([1j]), TypeError, "beside a Tensor"),
        (lambda: np.concatenate([Tensor([1.0])]), TypeError, r"np.concatenate: takes arrays .* minitrain.functional"),
        (lambda: np.mean(Tensor([1.0])), TypeError, "np.mean: takes arrays"),
    ],
)  # fmt: skip
def test_invalid_arguments_have_clear_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_no_grad_does_not_affect_other_threads():
    w = Parameter(3.0)
    thread = threading.Thread(target=lambda: (w * w).backward())
    with no_grad():
        thread.start()
        thread.join()
    assert w.grad == 6.0


def test_no_grad_nests_and_ends():
    w = Parameter(1.0)
    with no_grad():
        with no_grad():
            pass
        assert not (w * w).requires_grad
    assert (w * w).requires_grad

    @no_grad()
    def inside():
        return w * w

    assert not inside().requires_grad


def test_values_format_as_numbers_and_constants_print_as_values():
    assert f"{Parameter(2.5, 'w') * 2.0:.3f}" == "5.000"
    assert repr(Tensor(3.0)) == "Tensor 3.0"
    assert repr(Tensor(np.float32(0.1))) == "Tensor 0.1"


def test_arrays_print_with_their_shape_and_gradient():
    w = Parameter(np.zeros((2, 1), "float32"), "w")
    assert repr(w) == "Parameter w, float32 [2, 1] =\n[[0.]\n [0.]]"
    (w * 3.0).sum().backward()
    assert repr(w).endswith("dL/d[w] =\n[[3.]\n [3.]]")
    assert repr((w * 3.0)[0]).startswith("Tensor [w * 3.0][0:1, :], float32 [1] =")


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (lambda a, b: a - (b - a), "[a - [b - a]]"),
        (lambda a, b: a / (a * b), "a / [a * b]"),
        (lambda a, b: (a / b) ** 2, "[a / b]**2"),
        (lambda a, b: -(a * b), "-[a * b]"),
        (lambda a, b: abs(a).log() + a.sqrt(), "[log(|a|) + √(a)]"),
        (lambda a, b: 2**a * 1.5, "2.0**a * 1.5"),
        (lambda a, b: a.maximum(b).exp(), "exp(max(a, b))"),
        (lambda a, b: (a > b).where(a, b), "where(False, a, b)"),  # a boolean has no gradient, so no graph
        (lambda a, b: concatenate([a.reshape(1), b.reshape(1), a.reshape(1)]), "concatenate(a, b, a, axis=-1)"),
        (lambda a, b: concatenate([(a * b).reshape(1), (b * a).reshape(1)]), "concatenate(a * b, b * a, axis=-1)"),
        (lambda a, b: a.broadcast_to((4,))[3:0:-2] * (a - b).reshape(1), "a[3:0:-2] * [a - b]"),
        (lambda a, b: a.broadcast_to((4,))[:3:2], "a[:3:2]"),
        (lambda a, b: a.broadcast_to((4,))[1:].sum(), "sum(a[1:], axis=-2, -1)"),
        (lambda a, b: b / (a - b).reshape(1), "b / [a - b]"),
        (lambda a, b: b / (a * b).reshape(1), "b / [a * b]"),
    ],
)
def test_formulas(fn, expected):
    from minitrain.autograd.formula import formula

    assert formula(fn(Parameter(1.0, "a"), Parameter(2.0, "b"))) == expected
