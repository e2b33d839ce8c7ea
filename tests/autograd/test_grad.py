"""Gradients as functions: nested, several at once, and the checker of derivatives."""

import numpy as np
import pytest

from minitrain import Parameter, Tensor, check_grads, grad, gradients, no_grad, value_and_grad
from minitrain import functional as F


def test_orders_of_a_cube():
    cube = lambda x: x**3  # noqa: E731
    assert [f(2.0).item() for f in (grad(cube), grad(grad(cube)), grad(grad(grad(cube))))] == [12, 12, 6]


def test_several_arguments_at_once():
    value, (gx, gy) = value_and_grad(lambda x, y: (x * y).sum(), argnums=(0, 1))([1.0, 2.0], [3.0, 4.0])
    assert (value.item(), gx.numpy().tolist(), gy.numpy().tolist()) == (11, [3, 4], [1, 2])


def test_an_inner_gradient_is_differentiated_through_a_closure():
    w = Parameter(3.0, "w")

    def slope(x):
        return grad(lambda y: w * y * y)(x)  # 2 w x

    loss = slope(5.0) ** 2  # 4 w² x²
    loss.backward()
    assert w.grad == 8 * 3 * 25


def test_an_inner_gradient_at_an_outer_argument():
    # d/dx [x · d/dy (x y²)|y=x] = d/dx 2x³ = 6x²
    assert grad(lambda x: x * grad(lambda y: x * y * y)(x))(2.0).item() == 24


def test_a_parameter_without_influence():
    a, b = Parameter([1.0, 2.0]), Parameter([3.0])
    loss = (a * a).sum()
    assert gradients(loss, [a, b])[1].numpy().tolist() == [0]
    assert grad(lambda x: Tensor(2.0))(np.ones((2, 3))).numpy().tolist() == [[0] * 3] * 2
    loss.backward()
    assert b.grad is None


def test_gradients_of_an_intermediate_value():
    a = Parameter(3.0)
    square = a * a
    assert gradients(square * square, [square, a, square])[0].item() == 18


def test_gradients_leaves_grad_alone():
    a = Parameter(3.0)
    gradients(a * a, [a])
    assert a.grad is None


@pytest.mark.parametrize(
    ("mistake", "error", "message"),
    [
        (lambda: grad(lambda x: x * 2.0)(np.ones(3)), ValueError, r"expected a scalar, got shape \[3\]"),
        (lambda: grad(lambda x: 1.0)(2.0), TypeError, "the function gave a float, expected a Tensor"),
        (lambda: grad(lambda x: x, argnums=1)(2.0), ValueError, r"argnums \[1\] given for 1 arguments"),
        (lambda: grad(lambda x: x.sum())(np.arange(3)), TypeError, "cannot carry a gradient"),
    ],
)
def test_mistakes_have_clear_errors(mistake, error, message):
    with pytest.raises(error, match=message):
        mistake()


def test_the_checker_finds_a_wrong_second_order():
    class Odd(Tensor):
        pass

    def fn(x):
        # The value and first derivative of x², with a second derivative of 0: the slope is taken from a constant.
        with no_grad():
            slope = Tensor(2.0 * x.numpy())
            offset = Tensor(x.numpy() ** 2 - slope.numpy() * x.numpy())
        return x * slope + offset

    check_grads(fn, 1.5, order=1)
    with pytest.raises(AssertionError, match="differences give 2"):
        check_grads(fn, 1.5, order=2)


def test_the_checker_counts_every_argument_and_entry():
    def fn(x, y):
        with no_grad():
            hidden = Tensor(y.numpy()[1] ** 2)
        return x.sum() + y.sum() + hidden

    with pytest.raises(AssertionError, match=r"argument 1, entry \[1\]"):
        check_grads(fn, np.ones(2), np.ones(2), order=1)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x, w: F.softmax(x @ w).log().sum(),
        lambda x, w: F.logsumexp(x @ w, axis=(0, 1)),
        lambda x, w: F.logsumexp(x @ w, axis=0, keepdims=True) ** 2,
        lambda x, w: F.log_softmax(F.tanh(x @ w)) * 0.5,
        lambda x, w: F.cross_entropy(F.silu(x @ w), np.array([1, 0, 1])),
        lambda x, w: F.mse_loss(F.sigmoid(x @ w), np.ones((3, 2))),
        lambda x, w: F.linear(x, w.T, w[0]) / (1.0 + F.exp(x).sum()),
        lambda x, w: F.concatenate([x, x @ w], axis=1).reshape(-1)[::2] ** 3,
    ],
)
def test_compositions_to_order_2(fn):
    rng = np.random.default_rng(3)
    check_grads(fn, rng.normal(size=(3, 2)), rng.normal(size=(2, 2)))


def test_a_network_of_two_layers_to_order_2():
    rng = np.random.default_rng(4)
    x, target = rng.normal(size=(5, 3)), np.array([0, 1, 1, 0, 1])

    def loss(w1, b1, w2, b2):
        return F.cross_entropy(F.linear(F.tanh(F.linear(Tensor(x), w1, b1)), w2, b2), target)

    check_grads(loss, *(rng.normal(size=shape) for shape in ((4, 3), (4,), (2, 4), (2,))))
