"""Derivatives as functions: nested, of several arguments, and check_grads."""

import numpy as np
import pytest

from minitrain import Parameter, Tensor, check_grads, grad, gradients, hessian, hvp, jacobian, no_grad, value_and_grad
from minitrain import functional as F


def test_derivatives_of_a_cube_to_order_3():
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


def test_gradient_is_zero_for_an_unused_parameter():
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


def test_gradients_does_not_change_grad():
    a = Parameter(3.0)
    gradients(a * a, [a])
    assert a.grad is None


def test_derivatives_inside_no_grad_equal_those_outside():
    w = Parameter(3.0, "w")
    fn = lambda x: w * x[0] ** 2 * x[1]  # noqa: E731
    x, v = np.array([2.0, 5.0]), np.array([1.0, -1.0])
    with no_grad():
        value, slope = value_and_grad(fn)(x)
        second, product, at_w = hessian(fn)(x), hvp(fn, x, v), grad(lambda u: u**3)(w)
        rows = jacobian(lambda x: x**2 * w)(x)
        assert grad(lambda x: Tensor(2.0))(x).numpy().tolist() == [0, 0]
        check_grads(fn, x)
    assert (value.item(), slope.numpy().tolist(), at_w.item()) == (60, [60, 12], 27)
    assert (second.numpy().tolist(), product.numpy().tolist()) == ([[30, 12], [12, 0]], [18, 12])
    assert rows.numpy().tolist() == [[12, 0], [0, 30]]
    assert not any(t.requires_grad for t in (value, slope, second, product, at_w, rows))
    assert value_and_grad(fn)(x)[0].requires_grad


def test_no_grad_inside_the_function_is_respected():
    def fn(x):
        with no_grad():
            constant = x * grad(lambda y: y**2)(x)  # 2 x²
        return constant * x

    assert grad(fn)(3.0).item() == 18
    assert grad(grad(fn))(3.0).item() == 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: grad(lambda x: x * 2.0)(np.ones(3)), ValueError, r"expected a scalar, got shape \[3\]"),
        (lambda: grad(lambda x: 1.0)(2.0), TypeError, "the function returned a float, expected a Tensor"),
        (lambda: grad(lambda x: x, argnums=1)(2.0), ValueError, r"argnums \[1\] given for 1 arguments"),
        (lambda: grad(lambda x: x.sum())(np.arange(3)), TypeError, "cannot carry a gradient"),
        (lambda: hessian(lambda x: x * 2.0)(np.ones(3)), ValueError, r"expected a scalar, got shape \[3\]"),
        (lambda: hvp(lambda x: x * 2.0, np.ones(3), np.ones(3)), ValueError, r"expected a scalar, got shape \[3\]"),
        (
            lambda: hvp(F.sum, np.ones(3), np.ones((3, 1))),
            ValueError,
            r"v of shapes \[\[3, 1\]\], x of shapes \[\[3\]\]",
        ),
        (
            lambda: hvp(lambda x, y: x * y, [1.0, 2.0], [1.0]),
            ValueError,
            r"v of shapes \[\[\]\], x of shapes \[\[\], \[\]\]",
        ),
        (lambda: jacobian(lambda x: 1.0)(2.0), TypeError, "jacobian: the function returned a float, expected a Tensor"),
        (lambda: jacobian(lambda x: x, argnums=1)(2.0), ValueError, r"jacobian: argnums \[1\] given for 1 arguments"),
    ],
)
def test_invalid_arguments_have_clear_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def cube_correct_to(order):
    """x³, whose derivatives above an order are 0: around each point, its Taylor polynomial of that degree."""

    def fn(x):
        with no_grad():
            at = x.numpy()
        terms = [at**3, 3 * at**2, 3 * at, 1.0]
        return sum((x - at) ** k * terms[k] for k in range(order + 1))

    return fn


@pytest.mark.parametrize("order", [1, 2])
def test_check_grads_detects_a_derivative_of_wrong_order(order):
    check_grads(cube_correct_to(order), 1.5, order=order)
    with pytest.raises(AssertionError, match="the derivative is 0, central differences give"):
        check_grads(cube_correct_to(order), 1.5, order=order + 1)


def test_check_grads_checks_order_2_by_default():
    check_grads(cube_correct_to(2), 1.5)
    with pytest.raises(AssertionError, match="the derivative is 0"):
        check_grads(cube_correct_to(1), 1.5)


def test_check_grads_uses_one_tolerance_for_all_orders():
    check_grads(cube_correct_to(1), 1.5, order=2, atol=20.0)
    check_grads(cube_correct_to(1), 1.5, order=2, rtol=1.1)


def test_argnums_may_be_negative():
    assert [grad(lambda x, y: x * y * y, i)(2.0, 3.0).item() for i in (-2, -1)] == [9.0, 12.0]


def test_check_grads_checks_every_argument_and_entry():
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


# Jacobians and Hessians


def random(*shape, seed=5):
    return np.random.default_rng(seed).normal(size=shape)


def test_the_jacobian_of_a_product_in_each_factor():
    a, x = random(3, 2), random(2)
    assert jacobian(lambda a, x: a @ x, 1)(a, x).numpy().tolist() == a.tolist()
    in_a, in_x = jacobian(lambda a, x: a @ x, argnums=(0, 1))(a, x)
    np.testing.assert_array_equal(in_a.numpy(), np.eye(3)[:, :, None] * x)  # d (a x)_i / d a_jk = [i = j] x_k
    np.testing.assert_array_equal(in_x.numpy(), a)


@pytest.mark.parametrize("out", [(), (4,), (2, 3), (0,), (2, 0)])
@pytest.mark.parametrize("inn", [(), (5,), (3, 2)])
def test_a_jacobian_has_the_shape_of_the_result_then_of_the_argument(out, inn):
    result = jacobian(lambda x: x.sum() * np.ones(out))(np.ones(inn, "float32").reshape(inn))
    assert result.shape == out + inn
    assert (result.numpy() == 1).all()
    assert jacobian(lambda x: Tensor(np.ones(out)))(np.ones(inn)).numpy().tolist() == np.zeros(out + inn).tolist()


def test_the_hessian_of_a_quadratic_form():
    a, x, v = random(4, 4), random(4), random(4, seed=6)

    def form(x):
        return x @ (Tensor(a) @ x)

    np.testing.assert_allclose(hessian(form)(x).numpy(), a + a.T, rtol=1e-14)
    np.testing.assert_allclose(hvp(form, x, v).numpy(), (a + a.T) @ v, rtol=1e-13)


def test_the_hessian_in_a_matrix_has_its_shape_twice():
    x = random(2, 3)
    result = hessian(lambda x: (x**3).sum())(x).numpy()
    np.testing.assert_allclose(result, (np.eye(6) * 6 * x.reshape(-1)).reshape(2, 3, 2, 3), rtol=1e-15)


def test_a_linear_function_has_no_curvature():
    assert hessian(F.sum)(np.ones(2)).numpy().tolist() == [[0, 0], [0, 0]]
    assert hvp(F.sum, np.ones(2), np.ones(2)).numpy().tolist() == [0, 0]


def test_jacobian_hessian_and_hvp_can_be_differentiated():
    x, v = random(3), random(3, seed=6)

    def fn(x):
        return F.tanh(x).sum() * F.exp(x[0] * x[1])

    check_grads(jacobian(lambda x: F.tanh(x) * x[0]), x)
    check_grads(hessian(fn), x, order=1)
    check_grads(lambda x, v: hvp(fn, x, v), x, v)
    np.testing.assert_allclose(jacobian(lambda v: hvp(fn, x, v))(v).numpy(), hessian(fn)(x).numpy(), rtol=1e-12)
    w = Parameter(2.0, "w")
    hvp(lambda x: w * (x**3).sum(), x, v).sum().backward()
    np.testing.assert_allclose(w.grad, (6 * x * v).sum(), rtol=1e-14)


def test_hvp_does_not_allocate_the_hessian():
    n = 100_000  # whose Hessian would be of 80 GB
    x = np.ones(n)
    assert (hvp(lambda x: (x.sum() ** 2) * 0.5, x, x).numpy() == n).all()


def test_jacobian_hessian_and_hvp_keep_float32():
    x = np.ones(3, "float32")
    fn = lambda x: (x**3).sum()  # noqa: E731
    results = [jacobian(F.tanh)(x), hessian(fn)(x), hvp(fn, x, np.ones(3))]
    assert {str(result.dtype) for result in results} == {"float32"}


SIZES = [(4, 3), (4,), (2, 4), (2,)]
WEIGHTS, VECTORS = ([random(*size, seed=seed + i) for i, size in enumerate(SIZES)] for seed in (10, 20))
X, TARGET = random(5, 3), np.array([0, 1, 1, 0, 1])


def network(w1, b1, w2, b2):
    return F.linear(F.tanh(F.linear(Tensor(X), w1, b1)), w2, b2)


def loss_of_network(*weights):
    return F.cross_entropy(network(*weights), TARGET)


def flat(fn):
    """fn of one vector that holds all its arguments."""
    ends = np.cumsum([int(np.prod(size)) for size in SIZES])

    def of_vector(p):
        return fn(*(p[end - int(np.prod(size)) : end].reshape(size) for end, size in zip(ends, SIZES, strict=True)))

    return of_vector


def vector(arrays):
    return np.concatenate([a.reshape(-1) for a in arrays])


def test_derivatives_of_a_network_match_pytorch():
    torch = pytest.importorskip("torch")
    from torch.autograd.functional import hessian as their_hessian
    from torch.autograd.functional import hvp as their_hvp
    from torch.autograd.functional import jacobian as their_jacobian

    def theirs(w1, b1, w2, b2):
        functional = torch.nn.functional
        return functional.linear(torch.tanh(functional.linear(torch.tensor(X), w1, b1)), w2, b2)

    def their_loss(*weights):
        return torch.nn.functional.cross_entropy(theirs(*weights), torch.tensor(TARGET))

    points, vectors = tuple(map(torch.tensor, WEIGHTS)), tuple(map(torch.tensor, VECTORS))
    close = {"rtol": 1e-9, "atol": 1e-15}
    for ours, expected in zip(jacobian(network, range(4))(*WEIGHTS), their_jacobian(theirs, points), strict=True):
        np.testing.assert_allclose(ours.numpy(), expected.numpy(), **close)
    for ours, expected in zip(
        hvp(loss_of_network, WEIGHTS, VECTORS), their_hvp(their_loss, points, vectors)[1], strict=True
    ):
        np.testing.assert_allclose(ours.numpy(), expected.numpy(), **close)
    ours, expected = hessian(flat(loss_of_network))(vector(WEIGHTS)), their_hessian(their_loss, points)
    rows = [
        torch.cat([block.reshape(w.numel(), -1) for block in row], 1) for w, row in zip(points, expected, strict=True)
    ]
    np.testing.assert_allclose(ours.numpy(), torch.cat(rows).numpy(), **close)


def test_the_hessian_of_a_networks_loss_is_symmetric_and_agrees_with_its_products():
    h = hessian(flat(loss_of_network))(vector(WEIGHTS)).numpy()
    np.testing.assert_allclose(h, h.T, rtol=1e-12, atol=1e-16)
    assert abs(h).max() > 0.01
    product = hvp(flat(loss_of_network), vector(WEIGHTS), vector(VECTORS)).numpy()
    np.testing.assert_allclose(product, h @ vector(VECTORS), rtol=1e-12, atol=1e-16)
    parts = hvp(loss_of_network, WEIGHTS, VECTORS)
    assert isinstance(parts, list)
    np.testing.assert_allclose(vector([part.numpy() for part in parts]), product, rtol=1e-12, atol=1e-16)
