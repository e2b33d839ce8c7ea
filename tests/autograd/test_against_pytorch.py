"""Values and gradients compared with PyTorch, for every function that both have, including edge shapes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from minitrain import Parameter
from minitrain import functional as F

torch = pytest.importorskip("torch")
TF = torch.nn.functional

# float32 keeps 7 digits, and the longest of these results sums up some 50 products.
TOLERANCE = {"float64": 1e-7, "float32": 2e-5}

UNARY = [((),), ((0,),), ((0, 3),), ((1,),), ((3, 4),), ((1, 4, 1),), ((2, 3, 4),)]
BINARY = [((), ()), ((3,), ()), ((), (2, 3)), ((2, 3), (2, 3)), ((2, 3), (3,)), ((4, 1), (1, 5)), ((0, 3), (3,)),
          ((1,), (0,)), ((2, 1, 3), (4, 1))]  # fmt: skip
AXES = [((3,),), ((1,),), ((2, 3),), ((2, 1),), ((0, 3),), ((2, 3, 4),)]  # the last axis has entries
MATRICES = [((2, 3),), ((1, 1),), ((3, 1),), ((2, 3, 4),)]  # at least two axes, and entries
INDEX_ARRAY = np.array([[2, 0, 2], [1, 1, 0]])
MEAN, VARIANCE = np.array([0.5, -1.0, 2.0]), np.array([1.0, 0.1, 3.0])
CHANNELS = [((4, 3), (3,), (3,)), ((2, 3, 5), (3,), (3,)), ((2, 3, 2, 1), (3,), (3,)), ((0, 3), (3,), (3,))]


INDICES = torch.tensor(INDEX_ARRAY)
POOLING = (3, 2), (2, 1), (1, 0)  # kernel, stride, padding


def normal(rng, shape):
    return rng.normal(size=shape)


def positive(rng, shape):
    return rng.uniform(0.3, 2.0, shape)


def logsumexp(x, **axes):
    """PyTorch's always takes an axis."""
    return x.logsumexp(**axes) if axes else x.flatten().logsumexp(0)


def batch_norm_in_training(x, weight, bias):
    axes = (0, *range(2, x.ndim))
    return F.batch_norm(x, F.mean(x, axes), F.var(x, axes, correction=0), weight, bias)


class Row(NamedTuple):
    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    shapes: list[tuple[tuple[int, ...], ...]]
    sample: Callable[..., Any] = normal


def reduction(name, ours, theirs, shapes, **options):
    """Rows over the last axis, over the first, keeping it, over two, and over all."""
    matrices = [s for s in shapes if len(s[0]) > 1]
    return [
        Row(name, lambda x: ours(x, axis=-1, **options), lambda x: theirs(x, dim=-1, **options), shapes),
        Row(name, lambda x: ours(x, axis=0, **options), lambda x: theirs(x, dim=0, **options), MATRICES),
        Row(
            name,
            lambda x: ours(x, axis=-2, keepdims=True, **options),
            lambda x: theirs(x, dim=-2, keepdim=True, **options),
            MATRICES,
        ),
        Row(name, lambda x: ours(x, axis=(0, -1), **options), lambda x: theirs(x, dim=(0, -1), **options), MATRICES),
        Row(name, lambda x: ours(x, axis=None, **options), lambda x: theirs(x, **options), matrices),
    ]


TABLE = [
    # Elementwise
    Row("exp", F.exp, torch.exp, UNARY),
    Row("expm1", F.expm1, torch.expm1, UNARY),
    Row("log", F.log, torch.log, UNARY, positive),
    Row("log1p", F.log1p, torch.log1p, UNARY, positive),
    Row("sqrt", F.sqrt, torch.sqrt, UNARY, positive),
    Row("abs", F.abs, torch.abs, UNARY),
    Row("sign", F.sign, torch.sign, UNARY),
    Row("sin", F.sin, torch.sin, UNARY),
    Row("cos", F.cos, torch.cos, UNARY),
    Row("tanh", F.tanh, torch.tanh, UNARY),
    Row("erf", F.erf, torch.erf, UNARY),
    Row("maximum", F.maximum, torch.maximum, BINARY),
    Row("minimum", F.minimum, torch.minimum, BINARY),
    Row("clip", lambda x: F.clip(x, -0.4, 0.6), lambda x: x.clamp(-0.4, 0.6), UNARY),
    Row("clip", lambda x: F.clip(x, low=0.1), lambda x: x.clamp(min=0.1), UNARY),
    Row("clip", lambda x: F.clip(x, high=0.1), lambda x: x.clamp(max=0.1), UNARY),
    Row("clip", F.clip, torch.clamp, [((3, 4), (4,), (3, 1)), ((2,), (), ()), ((0, 2), (2,), (1,))]),
    Row("where", lambda a, b: F.where(a > b, a * 2, b), lambda a, b: torch.where(a > b, a * 2, b), BINARY),
    # Operators
    Row("+", lambda a, b: a + b, lambda a, b: a + b, BINARY),
    Row("-", lambda a, b: a - b, lambda a, b: a - b, BINARY),
    Row("*", lambda a, b: a * b, lambda a, b: a * b, BINARY),
    Row("/", lambda a, b: a / b, lambda a, b: a / b, BINARY, positive),
    Row("**", lambda a, b: a**b, lambda a, b: a**b, BINARY, positive),
    Row("**", lambda x: x**3, lambda x: x**3, UNARY),
    Row("**", lambda x: x**-0.5, lambda x: x**-0.5, UNARY, positive),
    Row("negative", lambda x: -x, lambda x: -x, UNARY),
    # Activations
    Row("identity", F.identity, lambda x: x, UNARY),
    Row("relu", F.relu, TF.relu, UNARY),
    Row("leaky_relu", F.leaky_relu, TF.leaky_relu, UNARY),
    Row("leaky_relu", lambda x: F.leaky_relu(x, 0.3), lambda x: TF.leaky_relu(x, 0.3), UNARY),
    Row("elu", F.elu, TF.elu, UNARY),
    Row("elu", lambda x: F.elu(x, 0.7), lambda x: TF.elu(x, 0.7), UNARY),
    Row("selu", F.selu, TF.selu, UNARY),
    Row("sigmoid", F.sigmoid, torch.sigmoid, UNARY),
    Row("logsigmoid", F.logsigmoid, TF.logsigmoid, UNARY),
    Row("softplus", F.softplus, TF.softplus, UNARY),
    Row("silu", F.silu, TF.silu, UNARY),
    Row("mish", F.mish, TF.mish, UNARY),
    Row("gelu", F.gelu, TF.gelu, UNARY),
    Row("gelu", lambda x: F.gelu(x, "tanh"), lambda x: TF.gelu(x, approximate="tanh"), UNARY),
    Row("hardtanh", F.hardtanh, TF.hardtanh, UNARY),
    Row("hardtanh", lambda x: F.hardtanh(x, -0.3, 0.2), lambda x: TF.hardtanh(x, -0.3, 0.2), UNARY),
    Row("hardswish", lambda x: F.hardswish(x * 3), lambda x: TF.hardswish(x * 3), UNARY),
    # Reductions
    *reduction("sum", F.sum, torch.sum, AXES),
    *reduction("mean", F.mean, torch.mean, AXES),
    *reduction("max", F.max, torch.amax, AXES[:4]),
    *reduction("min", F.min, torch.amin, AXES[:4]),
    *reduction("var", F.var, torch.var, AXES[:4], correction=0),
    *reduction("norm", F.norm, torch.linalg.vector_norm, AXES),
    *reduction("logsumexp", F.logsumexp, logsumexp, AXES[:4]),
    Row("sum", F.sum, torch.sum, UNARY),
    Row("var", F.var, torch.var, [((3,),), ((2, 3),)]),
    Row("std", F.std, torch.std, [((3,),), ((2, 3),)]),
    Row("std", lambda x: F.std(x, -1, 0), lambda x: x.std(-1, correction=0), [((3,),), ((2, 3),), ((2, 3, 4),)]),
    Row("std", lambda x: F.std(x, 0, 1, True), lambda x: x.std(0, correction=1, keepdim=True), [((3,),), ((4, 2),)]),
    Row("prod", F.prod, torch.prod, UNARY),
    Row("prod", lambda x: F.prod(x, 0), lambda x: x.prod(0), [*AXES, ((7, 2),), ((0,),)]),
    Row("prod", lambda x: F.prod(x, -2, True), lambda x: x.prod(-2, True), MATRICES),
    Row("prod", lambda x: F.prod(x, (0, 2)), lambda x: x.prod(2).prod(0), [((2, 3, 4),), ((2, 0, 1),)]),
    Row("cumsum", F.cumsum, lambda x: x.cumsum(-1), AXES),
    Row("cumsum", lambda x: F.cumsum(x, 0), lambda x: x.cumsum(0), AXES),
    Row("argmax", F.argmax, lambda x: x.argmax(-1), AXES),
    Row("softmax", F.softmax, lambda x: x.softmax(-1), AXES),
    Row("softmax", lambda x: F.softmax(x, 0), lambda x: x.softmax(0), MATRICES),
    Row("log_softmax", F.log_softmax, lambda x: x.log_softmax(-1), AXES),
    Row("log_softmax", lambda x: F.log_softmax(x, 0), lambda x: x.log_softmax(0), MATRICES),
    # Arrays
    Row("reshape", lambda x: F.reshape(x, (-1, 2)), lambda x: x.reshape(-1, 2), [((4,),), ((1, 2, 3),), ((0, 2),)]),
    Row("transpose", F.transpose, lambda x: x.permute(tuple(range(x.ndim)[::-1])), UNARY),
    Row("transpose", lambda x: F.transpose(x, (1, -1, 0)), lambda x: x.permute(1, -1, 0), [((2, 3, 4),), ((0, 1, 2),)]),
    Row("swapaxes", lambda x: F.swapaxes(x, 0, -1), lambda x: x.swapaxes(0, -1), [((3,),), ((2, 3, 4),), ((0, 2),)]),
    Row("expand_dims", lambda x: F.expand_dims(x, -1), lambda x: x.unsqueeze(-1), UNARY),
    Row("expand_dims", lambda x: F.expand_dims(x, 0), lambda x: x.unsqueeze(0), UNARY),
    Row("expand_dims", lambda x: F.expand_dims(x, 1), lambda x: x.unsqueeze(1), UNARY[1:]),
    Row("squeeze", F.squeeze, torch.squeeze, UNARY),
    Row("squeeze", lambda x: F.squeeze(x, (0, -1)), lambda x: x.squeeze((0, -1)), [((1, 4, 1),), ((1, 0, 1),)]),
    Row("broadcast_to", lambda x: F.broadcast_to(x, (2, 3, 4)), lambda x: x.broadcast_to(2, 3, 4),
        [((),), ((4,),), ((3, 1),), ((2, 1, 4),), ((2, 3, 4),)]),
    Row("pad", lambda x: F.pad(x, [(1, 2), (0, 3)]), lambda x: TF.pad(x, (0, 3, 1, 2)), [((2, 3),), ((0, 1),)]),
    Row("pad", lambda x: F.pad(x, [(1, 0)], 2.5), lambda x: TF.pad(x, (1, 0), value=2.5), [((3,),), ((0,),)]),
    Row("concatenate", lambda a, b: F.concatenate([a, b, a], 1), lambda a, b: torch.cat([a, b, a], 1),
        [((2, 3), (2, 1)), ((2, 0), (2, 2)), ((0, 1), (0, 2))]),
    Row("stack", lambda a, b: F.stack([a, b, a]), lambda a, b: torch.stack([a, b, a]), [((2, 3),) * 2, ((),) * 2]),
    Row("stack", lambda a, b: F.stack([a, b], -1), lambda a, b: torch.stack([a, b], -1), [((2, 3),) * 2, ((0,),) * 2]),
    Row("take_along_axis", lambda x: F.take_along_axis(x, INDEX_ARRAY), lambda x: x.take_along_dim(INDICES, -1),
        [((2, 3),), ((2, 4),)]),
    Row("take_along_axis", lambda x: F.take_along_axis(x, INDEX_ARRAY, 0), lambda x: x.take_along_dim(INDICES, 0),
        [((4, 3),), ((3, 1),)]),
    Row("one_hot", lambda x: F.one_hot(INDEX_ARRAY, 4, x.dtype), lambda x: TF.one_hot(INDICES, 4).to(x), [((),)]),
    Row("embedding", lambda w: F.embedding(INDEX_ARRAY, w), lambda w: TF.embedding(INDICES, w),
        [((3, 4),), ((5, 1),), ((3, 0),)]),
    Row("[]", lambda x: x[INDEX_ARRAY], lambda x: x[INDICES], [((3,),), ((4, 2),), ((3, 0),)]),
    Row("[]", lambda x: x[1], lambda x: x[1], [((3,),), ((2, 3),), ((2, 0, 1),)]),
    Row("[]", lambda x: x[:, None, ..., -1:], lambda x: x[:, None, ..., -1:], MATRICES),
    Row("[]", lambda x: x[:, [0, 0]], lambda x: x[:, [0, 0]], MATRICES),
    Row("[]", lambda x: x[x > 0], lambda x: x[x > 0], UNARY),
    # Products
    Row("matmul", F.matmul, torch.matmul,
        [((2, 3), (3, 4)), ((3,), (3,)), ((3, 4), (4,)), ((4,), (2, 4, 3)), ((0, 3), (3, 2)), ((2, 0), (0, 3)),
         ((1, 1), (1, 1)), ((3, 1), (1, 2)), ((2, 3, 4), (2, 4, 5)), ((2, 1, 3, 4), (5, 4, 2)), ((0, 2, 3), (3, 2))]),
    Row("matmul", lambda a: a @ a.T, lambda a: a @ a.T, [((3, 4),), ((1, 1),), ((0, 2),)]),
    Row("linear", F.linear, TF.linear,
        [((4, 3), (2, 3), (2,)), ((0, 3), (2, 3), (2,)), ((1, 1), (1, 1), (1,)), ((5, 4, 3), (2, 3), (2,))]),
    Row("linear", F.linear, TF.linear, [((4, 3), (2, 3)), ((2, 0, 3), (4, 3))]),
    # Normalization
    Row("layer_norm", lambda x: F.layer_norm(x), lambda x: TF.layer_norm(x, x.shape[-1:]), AXES),
    Row("layer_norm", F.layer_norm, lambda x, w, b: TF.layer_norm(x, x.shape[-1:], w, b),
        [((2, 3), (3,), (3,)), ((2, 3, 4), (4,), (4,)), ((0, 3), (3,), (3,)), ((3,), (3,), (3,))]),
    Row("batch_norm", lambda x, w, b: F.batch_norm(x, MEAN.astype(x.dtype), VARIANCE.astype(x.dtype), w, b),
        lambda x, w, b: TF.batch_norm(x, torch.tensor(MEAN).to(x), torch.tensor(VARIANCE).to(x), w, b), CHANNELS),
    Row("batch_norm", batch_norm_in_training, lambda x, w, b: TF.batch_norm(x, None, None, w, b, training=True),
        CHANNELS[:-1]),
    # Convolution and pooling
    Row("conv1d", F.conv1d, TF.conv1d,
        [((2, 3, 7), (4, 3, 3), (4,)), ((0, 1, 3), (2, 1, 2), (2,)), ((1, 1, 1), (1, 1, 1), (1,))]),
    Row("conv1d", lambda x, w: F.conv1d(x, w, stride=2, padding=1), lambda x, w: TF.conv1d(x, w, stride=2, padding=1),
        [((2, 3, 7), (4, 3, 3)), ((2, 3, 8), (4, 3, 3)), ((1, 1, 1), (1, 1, 2))]),
    Row("conv2d", F.conv2d, TF.conv2d,
        [((2, 3, 5, 4), (4, 3, 3, 2), (4,)), ((2, 3, 4, 4), (1, 3, 1, 1), (1,)), ((0, 1, 3, 3), (2, 1, 2, 2), (2,)),
         ((2, 1, 3, 3), (2, 1, 3, 3), (2,))]),
    Row("conv2d", lambda x, w: F.conv2d(x, w, stride=(2, 3), padding=(1, 2)),
        lambda x, w: TF.conv2d(x, w, stride=(2, 3), padding=(1, 2)),
        [((2, 2, 5, 6), (3, 2, 3, 2)), ((1, 2, 4, 1), (3, 2, 2, 5))]),
    Row("max_pool1d", lambda x: F.max_pool1d(x, 2), lambda x: TF.max_pool1d(x, 2), [((2, 3, 7),), ((1, 1, 2),)]),
    Row("max_pool1d", lambda x: F.max_pool1d(x, 3, 1, 1), lambda x: TF.max_pool1d(x, 3, 1, 1),
        [((2, 3, 7),), ((1, 1, 1),)]),
    Row("max_pool2d", lambda x: F.max_pool2d(x, 2), lambda x: TF.max_pool2d(x, 2), [((2, 3, 5, 4),), ((0, 1, 2, 2),)]),
    Row("max_pool2d", lambda x: F.max_pool2d(x, *POOLING), lambda x: TF.max_pool2d(x, *POOLING),
        [((2, 3, 5, 4),), ((1, 1, 1, 2),)]),
    Row("avg_pool1d", lambda x: F.avg_pool1d(x, 2), lambda x: TF.avg_pool1d(x, 2), [((2, 3, 7),), ((1, 1, 2),)]),
    Row("avg_pool1d", lambda x: F.avg_pool1d(x, 3, 2, 1), lambda x: TF.avg_pool1d(x, 3, 2, 1),
        [((2, 3, 7),), ((1, 1, 1),)]),
    Row("avg_pool2d", lambda x: F.avg_pool2d(x, 2), lambda x: TF.avg_pool2d(x, 2), [((2, 3, 5, 4),), ((0, 1, 2, 2),)]),
    Row("avg_pool2d", lambda x: F.avg_pool2d(x, *POOLING), lambda x: TF.avg_pool2d(x, *POOLING),
        [((2, 3, 5, 4),), ((1, 1, 1, 2),)]),
]  # fmt: skip

CASES = [
    pytest.param(row, shapes, id=f"{row.name}-{i}-{shapes}".replace(" ", ""))
    for i, row in enumerate(TABLE)
    for shapes in row.shapes
]


def contiguous(array):
    return array


def strided(array):
    """Every second column of an array stored by columns."""
    return np.asfortranarray(np.repeat(array, 2, axis=-1))[..., ::2] if array.ndim else array


@pytest.mark.parametrize(("dtype", "layout"), [("float64", contiguous), ("float64", strided), ("float32", contiguous)])
@pytest.mark.parametrize(("row", "shapes"), CASES)
def test_value_and_gradient(row, shapes, dtype, layout):
    rng = np.random.default_rng(5)
    arrays = [np.asarray(row.sample(rng, shape)).astype(dtype) for shape in shapes]
    ours_at = [Parameter(layout(a)) for a in arrays]
    theirs_at = [torch.tensor(a, requires_grad=True) for a in arrays]
    ours, theirs = row.ours(*ours_at), row.theirs(*theirs_at)
    assert ours.shape == tuple(theirs.shape)
    assert ours.dtype.name == str(theirs.dtype).removeprefix("torch.")
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), **close)
    weights = rng.normal(size=ours.shape).astype(dtype)
    if theirs.requires_grad:
        (theirs * torch.tensor(weights)).sum().backward()
    if ours.requires_grad:
        (ours * weights).sum().backward()
    for p, t in zip(ours_at, theirs_at, strict=True):
        assert p.grad is None or (p.grad.shape == p.shape and p.grad.dtype == dtype)
        zeros = np.zeros(p.shape)  # a gradient that does not exist
        np.testing.assert_allclose(
            zeros if p.grad is None else p.grad, zeros if t.grad is None else t.grad.numpy(), **close
        )
