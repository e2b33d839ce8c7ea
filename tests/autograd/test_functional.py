"""Every function: derivatives to order 2, errors, and properties that are not compared with PyTorch."""

import numpy as np
import pytest

from minitrain import Parameter, Tensor, check_grads
from minitrain import functional as F

IDS = np.array([[2, 0, 2], [1, 1, 0]])


def between(low, high):
    return lambda *shape: np.random.default_rng(11).uniform(low, high, shape)


# Two intervals without kinks, and every elementwise function that has a derivative.
NEGATIVE, POSITIVE = between(-2.5, -1.2), between(0.2, 0.9)
ELEMENTWISE = ["exp", "expm1", "sin", "cos", "tanh", "erf", "abs", "identity", "relu", "leaky_relu", "elu", "selu",
              "sigmoid", "logsigmoid", "softplus", "silu", "mish", "gelu", "hardtanh", "hardswish"]  # fmt: skip
x = np.random.default_rng(12).normal(size=(2, 3, 4))

# Name -> pairs of a function and the points at which it is differentiated.
CASES = {
    **{name: [(getattr(F, name), (NEGATIVE(3),)), (getattr(F, name), (POSITIVE(2, 2),))] for name in ELEMENTWISE},
    **{name: [(getattr(F, name), (POSITIVE(3),))] for name in ("log", "log1p", "sqrt")},
    "maximum": [(F.maximum, (x[0], x[1]))],
    "minimum": [(F.minimum, (x[0], x[1]))],
    "clip": [(lambda x: F.clip(x, -0.4, 0.6) ** 2, (x[0],))],
    "where": [(lambda a, b: F.where(x[0] > 0, a * b, b), (x[0], x[1]))],
    "dropout": [(lambda x: F.dropout(x**2, 0.5, np.random.default_rng(0)), (x[0],))],
    "sum": [(lambda x: F.sum(x, (0, 2)) ** 2, (x,))],
    "mean": [(lambda x: F.mean(x, 1, keepdims=True) ** 2, (x,))],
    "max": [(lambda x: F.max(x, 1) ** 2, (x[0],))],
    "min": [(lambda x: F.min(x, 1) ** 2, (x[0],))],
    "var": [(lambda x: F.var(x, 1), (x[0],)), (lambda x: F.var(x, correction=0) ** 2, (x[0],))],
    "std": [(lambda x: F.std(x, 1, keepdims=True), (x[0],))],
    "norm": [(lambda x: F.norm(x, 1), (x[0],)), (F.norm, (x[0],))],
    "prod": [(lambda x: F.prod(x, 1), (x[0],)), (F.prod, (np.array([[0.0, 2.0], [1.5, 0.0]]),))],
    "cumsum": [(lambda x: F.cumsum(x, 0) ** 2, (x[0],))],
    "logsumexp": [(lambda x: F.logsumexp(x, 0, keepdims=True), (x[0],))],
    "softmax": [(F.softmax, (x[0],))],
    "log_softmax": [(F.log_softmax, (x[0],))],
    "reshape": [(lambda x: F.reshape(x, (-1, 2)) ** 2, (x[0],))],
    "transpose": [(lambda x: F.transpose(x, (1, 2, 0)) ** 2, (x[:, :2, :2],))],
    "swapaxes": [(lambda x: F.swapaxes(x, 0, 1) ** 2, (x[0],))],
    "expand_dims": [(lambda x: F.expand_dims(x, 1) ** 2, (x[0],))],
    "squeeze": [(lambda x: F.squeeze(x) ** 2, (x[:, :1, :],))],
    "broadcast_to": [(lambda x: F.broadcast_to(x, (2, 3, 4)) ** 2, (x[0, :1],))],
    "pad": [(lambda x: F.pad(x, [(1, 0), (0, 2)], 3.0) ** 2, (x[0],))],
    "concatenate": [(lambda a, b: F.concatenate([a, b, a], 1) ** 2, (x[0], x[1]))],
    "stack": [(lambda a, b: F.stack([a, b, a], 1) ** 2, (x[0], x[1]))],
    "take_along_axis": [(lambda x: F.take_along_axis(x, IDS) ** 2, (x[0, :2],))],
    "embedding": [(lambda w: F.embedding(IDS, w) ** 2, (x[0],))],
    "matmul": [(F.matmul, (x[:, :, :2], x[0, :2])), (lambda a: a @ a.T, (x[0],)), (F.matmul, (x[0, 0], x[1, 0]))],
    "linear": [(F.linear, (x[0], x[1, :2], x[0, 0, :2])), (F.linear, (x[:, :2], x[1, :2]))],
    "layer_norm": [(F.layer_norm, (x[0], x[1, 0], x[1, 1]))],
    "batch_norm": [
        (F.batch_norm, (x[0], x[1, 0], POSITIVE(4), x[1, 1], x[1, 2])),
        (lambda x: F.batch_norm(x, F.mean(x, (0, 2)), F.var(x, (0, 2))), (x,)),
    ],
    "conv1d": [(lambda x, w, b: F.conv1d(x, w, b, 2, 1), (x, x[:1, :, :2], x[0, 0, :1]))],
    "conv2d": [(lambda x, w: F.conv2d(x, w, stride=(1, 2), padding=(0, 1)), (x[None], x[None, :, :2, :2]))],
    "max_pool1d": [(lambda x: F.max_pool1d(x, 3, 1, 1) ** 2, (x,))],
    "max_pool2d": [(lambda x: F.max_pool2d(x, 2, 1, 1) ** 2, (x[None],))],
    "avg_pool1d": [(lambda x: F.avg_pool1d(x, 3, 2, 1) ** 2, (x,))],
    "avg_pool2d": [(lambda x: F.avg_pool2d(x, 2, 1, 1) ** 2, (x[None],))],
}
CASES["gelu"].append((lambda x: F.gelu(x, approximate="tanh"), (x[0],)))
ALL = [pytest.param(*case, id=f"{name}-{i}") for name, cases in CASES.items() for i, case in enumerate(cases)]


@pytest.mark.parametrize(("fn", "points"), ALL)
def test_derivatives_to_order_2(fn, points):
    check_grads(fn, *points, order=2)


def test_convolution_follows_its_formula():
    rng = np.random.default_rng(13)
    image, weight, bias = rng.normal(size=(2, 3, 5, 6)), rng.normal(size=(4, 3, 3, 2)), rng.normal(size=4)
    result = F.conv2d(image, weight, Tensor(bias), stride=(2, 3), padding=(1, 0)).numpy()
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (0, 0)))
    assert result.shape == (2, 4, 3, 2)
    for b, o, i, j in np.ndindex(result.shape):
        window = padded[b, :, 2 * i : 2 * i + 3, 3 * j : 3 * j + 2]
        assert result[b, o, i, j] == pytest.approx((window * weight[o]).sum() + bias[o])
    along_one = F.conv1d(image[:, :, 0], weight[:, :, 0], stride=3).numpy()
    in_two = F.conv2d(image[:, :, :1], weight[:, :, :1], stride=3).numpy()
    assert (along_one == in_two[:, :, 0]).all()


def test_tied_entries_of_a_max_pool_share_the_gradient_evenly():
    p = Parameter([[[2.0, 2.0, 1.0]]])
    F.max_pool1d(p, 3).sum().backward()
    assert p.grad.tolist() == [[[0.5, 0.5, 0]]]


@pytest.mark.parametrize("pool", [F.max_pool1d, F.avg_pool1d])
def test_pooling_pads_with_the_neutral_value(pool):
    result = pool([[[-1.0, -3.0]]], 2, stride=2, padding=1).numpy().tolist()
    assert result == ([[[-1, -3]]] if pool is F.max_pool1d else [[[-0.5, -1.5]]])


def test_dropout_preserves_the_expected_value_and_depends_on_its_generator_alone():
    ones = np.ones((1000, 100))
    dropped = F.dropout(ones, 0.3, np.random.default_rng(1)).numpy()
    assert set(np.unique(dropped)) == {0, 1 / 0.7}
    # The fraction of 100,000 retained has a standard deviation of 0.0014.
    assert abs((dropped > 0).mean() - 0.7) < 0.006
    again = F.dropout(ones.astype("float32"), 0.3, np.random.default_rng(1))
    assert again.dtype == "float32"
    assert ((again.numpy() > 0) == (dropped > 0)).all()
    assert (F.dropout(ones, 0.3, np.random.default_rng(2)).numpy() != dropped).any()


def test_dropout_with_p_0_returns_x():
    p = Parameter([1.0, -0.0, np.inf])
    assert F.dropout(p, 0.0, np.random.default_rng(1)).numpy().tobytes() == p.numpy().tobytes()


def test_dropout_propagates_gradients_to_retained_entries():
    p = Parameter(np.ones(50))
    out = F.dropout(p, 0.4, np.random.default_rng(1))
    out.sum().backward()
    assert (p.grad == out.numpy()).all()


def test_a_scalar_on_the_left_does_not_promote_the_dtype():
    single = Parameter(np.float32([1.0, 2.0]))
    for result in (F.maximum(1.5, single), F.minimum(1.5, single), F.minimum(single, 1.5), F.clip(single, 0.1, 1.5)):
        assert result.dtype == "float32"


def test_linear_with_three_axes_has_one_gradient_of_the_weight():
    w = Parameter(np.ones((2, 3)))
    F.linear(Tensor(np.ones((5, 4, 3))), w).sum().backward()
    assert w.grad.tolist() == [[20] * 3] * 2


SIZES, THREE = np.zeros((2, 3, 4)), np.ones(3)


def test_normalization_of_small_values_uses_eps():
    x = np.array([0.001, -0.001])
    np.testing.assert_allclose(F.layer_norm(x).numpy(), x / np.sqrt(1e-6 + 1e-5), rtol=1e-12)
    np.testing.assert_allclose(
        F.batch_norm(x[:, None], [0.0], [1e-6]).numpy(), x[:, None] / np.sqrt(1e-6 + 1e-5), rtol=1e-12
    )


def test_pad_accepts_the_value_1():
    assert F.pad([2.0], [(1, 0)], value=1.0).numpy().tolist() == [1, 2]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.clip(1.0), ValueError, "no bound given"),
        (lambda: F.gelu(1.0, approximate="erf"), ValueError, "'erf' given, expected 'none' or 'tanh'"),
        (
            lambda: F.dropout(SIZES, 1.0, np.random.default_rng(0)),
            ValueError,
            r"p=1\.0 given, expected 0 <= p < 1",
        ),
        (lambda: F.var([1.0]), ValueError, "1 values with correction=1"),
        (lambda: F.std(np.zeros((0, 2)), axis=0, correction=0), ValueError, "0 values with correction=0"),
        (lambda: F.cumsum(SIZES, 3), ValueError, r"cumsum: axis 3 of shape \[2, 3, 4\]: expected -3 to 2"),
        (lambda: F.squeeze(SIZES, 1), ValueError, r"squeeze: axis 1 of shape \[2, 3, 4\]"),
        (lambda: F.expand_dims(SIZES, 4), ValueError, "expand_dims: axis 4"),
        (lambda: F.pad(SIZES, [(1, 1)]), ValueError, "expected 3 pairs"),
        (lambda: F.pad([1.0], [(-1, 1)]), ValueError, "of at least 0"),
        (lambda: F.stack([]), ValueError, "stack: shapes none"),
        (lambda: F.stack([Tensor([1.0]), Tensor(1.0)]), ValueError, r"stack: shapes \[1\], \[\]"),
        (lambda: F.take_along_axis(SIZES, IDS), ValueError, "expected as many axes"),
        (lambda: F.take_along_axis([[1.0, 2.0]], [[2]]), IndexError, "2 is out of range for axis -1 of size 2"),
        (lambda: F.take_along_axis([1.0], [0.0]), TypeError, "float64 given, expected integers"),
        (lambda: F.one_hot([0, 3], 3), IndexError, "id 3 given for 3 classes"),
        (lambda: F.one_hot([-1], 3), IndexError, "id -1 given"),
        (lambda: F.embedding([5], Tensor(np.ones((5, 2)))), IndexError, "5 is out of range for axis 0 of size 5"),
        (lambda: F.embedding([0.5], Tensor(np.ones((5, 2)))), TypeError, "embedding: float64 given"),
        (
            lambda: F.layer_norm(SIZES, weight=Tensor([1.0])),
            ValueError,
            r"weight \[1\]: expected weight of shape \[4\]",
        ),
        (lambda: F.layer_norm(SIZES, bias=Tensor([1.0])), ValueError, r"bias \[1\]: expected bias of shape \[4\]"),
        (lambda: F.batch_norm(SIZES, [0.0], [1.0]), ValueError, r"mean \[1\]: expected mean of shape \[3\]"),
        (lambda: F.batch_norm(SIZES, THREE, [1.0]), ValueError, r"variance \[1\]: expected variance of shape \[3\]"),
        (lambda: F.batch_norm(SIZES, THREE, THREE, Tensor([1.0])), ValueError, r"weight \[1\]: expected weight of"),
        (lambda: F.batch_norm(SIZES, THREE, THREE, None, Tensor([1.0])), ValueError, r"bias \[1\]: expected bias of"),
        (lambda: F.concatenate([Tensor([1.0]), Tensor(1.0)]), ValueError, r"concatenate: shapes \[1\], \[\]: expected"),
        (lambda: F.conv1d(SIZES, np.zeros((1, 2, 2))), ValueError, "with equal `in`"),
        (lambda: F.conv2d(SIZES, np.zeros((1, 3, 2, 2))), ValueError, r"expected \[batch, in, 2 more\]"),
        (
            lambda: F.conv1d(SIZES, np.zeros((1, 3, 5))),
            ValueError,
            r"kernel_size \[5\], stride \[1\], padded input \[4\]",
        ),
        (lambda: F.conv1d(SIZES, np.zeros((1, 3, 1)), stride=0), ValueError, r"stride \[0\]"),
        (lambda: F.conv1d(SIZES, np.zeros((1, 3, 1)), padding=-1), ValueError, "padding=-1 given"),
        (lambda: F.conv1d(SIZES, np.zeros((1, 3, 1)), Tensor([1.0, 2.0])), ValueError, r"bias \[2\], expected \[1\]"),
        (lambda: F.max_pool2d(SIZES, 2), ValueError, r"expected \[batch, channels, 2 more\]"),
        (lambda: F.max_pool1d(SIZES, 2, padding=2), ValueError, "expected at most half the kernel size"),
        (
            lambda: F.avg_pool1d(SIZES, (2, 2)),
            ValueError,
            r"kernel_size=\(2, 2\) given, expected an integer of at least 0, or 1",
        ),
    ],
)
def test_invalid_arguments_have_clear_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
