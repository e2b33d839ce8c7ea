"""What the tests of the compiled step share: equality of bits, a tape run as it is written, and random programs."""

from __future__ import annotations

import numpy as np

from minitrain import Tensor
from minitrain.autograd import functional as F
from minitrain.autograd.functional.arrays import concatenate
from minitrain.autograd.primitives import TABLE
from minitrain.autograd.tensor import apply

INTEGERS = {4: np.int32, 8: np.int64}


def same_bits(a, b):
    """Equal shapes, types and bits; a nan is as good as any other."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind != "f":
        return bool((a == b).all())
    bits = INTEGERS[a.itemsize]
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    return bool(((a.view(bits) == b.view(bits)) | (np.isnan(a) & np.isnan(b))).all())


def run_as_written(tape, inputs):
    """The outputs of a tape: each operation applied in turn, to arrays of its own."""
    values = {v: array.copy() for v, array in tape.constants.items()}
    values |= {v: np.array(inputs[name]) for name, v in tape.inputs.items()}
    for i in tape.instructions:
        forward = i.operation if isinstance(i.operation, np.ufunc) else i.operation.forward
        values[i.value] = np.array(forward(*[values[v] for v in i.inputs], **i.options), order="C")
    return {name: values[v] for name, v in tape.outputs.items()}


UNARY = ("negative", "exp", "log", "sqrt", "sign", "abs", "tanh", "sigmoid", "silu", "relu", "log1p", "expm1", "sin",
         "cos", "softplus", "erf", "identity")  # fmt: skip
NUMBERS = (0.0, -0.0, 1.0, -1.0, 2.0, 0.5, np.inf)


def random_program(seed, steps=12):
    """A function of three Tensors, drawn at random over the table, and inputs for it.

    It gives two vectors as long as the first two inputs, a number and a value of any shape, by name.
    """
    dtype = ("float32", "float64")[seed % 2]
    rng = np.random.default_rng(seed)
    inputs = [rng.normal(size=shape).astype(dtype) for shape in ((6,), (6,), (3, 4))]

    def program(a, b, c):
        rng = np.random.default_rng([seed, 1])
        pool = [a, b, c, a.reshape(2, 3), b.sum()]
        for _ in range(steps):
            pool.append(_random_operation(rng, pool, dtype))
        total = sum(t.sum() for t in pool[-4:])
        ends = [(total * t.sum()).broadcast_to((6,)) for t in pool[-3:-1]]
        joined = concatenate([pool[-1].reshape(-1), pool[-2].reshape(-1), pool[5].reshape(-1)])
        return {"a": a * 0.5 + ends[0].tanh(), "b": b - ends[1].tanh() * a, "total": total, "joined": joined}

    return program, inputs


def _random_operation(rng, pool, dtype):
    x, y = (pool[i] for i in rng.integers(len(pool), size=2))
    number = Tensor(np.array(rng.choice(NUMBERS), dtype))
    kind = rng.integers(12)
    if kind == 0:
        return apply(TABLE[rng.choice(UNARY)], x)
    if kind == 1:
        return apply(TABLE[rng.choice(["power"])], x, exponent=float(rng.choice([-1.0, 0.5, 1.0, 2.0, 3.0])))
    if kind in (2, 3):  # numbers, as they are and repeated
        repeated = number.broadcast_to(x.shape) if rng.random() < 0.5 else number
        return (x * repeated, x + repeated, repeated - x, x / repeated)[rng.integers(4)]
    if kind in (4, 5):
        y = y if y.shape == x.shape else y.sum()
        return (x * y, x - -y, x + -y, x.maximum(y), (x > y).where(x, y))[rng.integers(5)]
    if kind == 6:
        return (x > number).masks(x)
    if x.ndim == 0:
        return x.exp() * number
    axis = int(rng.integers(-x.ndim, 0))
    if kind == 7:
        return (x.sum, x.max, x.mean)[rng.integers(3)](axis, keepdims=rng.random() < 0.5)
    if kind == 8:
        return x.cumsum(axis, backward=rng.random() < 0.5)
    if kind == 9:
        return (x.T, x.reshape(-1), x.reshape(1, *x.shape), x.astype("float64").astype(dtype))[rng.integers(4)]
    if kind == 10:
        picked = np.arange(len(x))[::-1].copy()
        return (
            x[: len(x) // 2 + 1],
            x[picked],
            concatenate([x, -x]),
            x.unslice((slice(0, len(x)),) + (slice(None),) * (x.ndim - 1), (len(x) + 1, *x.shape[1:])),
        )[rng.integers(4)]
    flat = x.reshape(1, -1)
    return (flat.matmul(flat, False, True), flat.matmul(flat, True, False)[0], F.softmax(flat))[rng.integers(3)]
