"""Rows of elementwise functions, operators and activations."""

from __future__ import annotations

import math

import numpy as np
from function_rows import (
    KEEPS,
    TF,
    TYPES,
    Row,
    above_one,
    as_float,
    as_numbers,
    binary,
    each,
    late,
    no_booleans,
    no_booleans_at_all,
    only_bits,
    positive,
    small,
    unary,
    unchanged,
    whole,
    within_one,
)


def softplus(x):
    return np.logaddexp(x, 0)


def numpy_sigmoid(x):
    return 1 / (1 + np.exp(-x))


def erf(x):
    return np.vectorize(math.erf, otypes=[x.dtype])(x)


def numpy_gelu(x, approximate="none"):
    if approximate == "tanh":
        return x * 0.5 * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))
    return x * 0.5 * (1 + erf(x * 0.5**0.5))


def numpy_elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))).astype(x.dtype)


ROWS = [
    # Elementwise functions
    unary("exp"),
    unary("expm1"),
    unary("log", sample=positive),
    unary("log1p", sample=positive),
    unary("sqrt", sample=positive),
    unary("sin"),
    unary("cos"),
    unary("tanh"),
    unary("arcsin", sample=within_one),
    unary("arccos", sample=within_one),
    unary("arctan"),
    unary("arcsinh"),
    unary("arccosh", sample=above_one),
    unary("arctanh", sample=within_one, types=TYPES[:2]),
    unary("erf", erf, "torch.erf", numpy_name="scipy.special.erf"),
    unary("abs", computes=unchanged, sample=small),
    unary("sign", computes=unchanged, refuses=no_booleans, **KEEPS),
    unary(
        "floor", lambda x: np.floor(x) if x.dtype.kind == "f" else x, computes=unchanged, numpy_name="np.floor", **KEEPS
    ),
    unary(
        "ceil", lambda x: np.ceil(x) if x.dtype.kind == "f" else x, computes=unchanged, numpy_name="np.ceil", **KEEPS
    ),
    unary(
        "round",
        lambda x, decimals=0: np.round(x, decimals) if x.dtype.kind == "f" else x,
        computes=unchanged,
        numpy_name="np.round",
        options=({}, {"decimals": 1}),
        **KEEPS,
    ),
    unary("isfinite", computes=unchanged, **KEEPS),
    unary(
        "clip",
        lambda x, low=None, high=None: np.clip(x, low, high),
        lambda x, low=None, high=None: x.clamp(low, high),
        computes=unchanged,
        numpy_name="np.clip",
        torch_name="torch.clamp",
        options=({"low": 0}, {"high": 1}, {"low": 0, "high": 1}),
        types=TYPES[:-1],
        note="the derivative at a bound is 1",
    ),
    Row(
        "dropout",
        None,
        None,
        (),
        numpy_name="",
        torch_name=TF + "dropout",
        note="other random numbers than PyTorch's; tests/autograd/test_functional.py",
    ),
    Row(
        "where",
        np.where,
        late("torch.where"),
        each(
            [((3, 4), *p) for p in (((3, 4), ()), ((4,), (3, 1)))]
            + [((), (), ()), ((0, 3), (3,), ()), ((1,), (1,), (2, 0))]
        ),
        fixed=(0,),
        sample=whole,
        numpy_name="np.where",
        torch_name="torch.where",
        note="nan of the branch that is not selected passes into the gradient",
    ),
    binary("maximum", "np.maximum", "torch.maximum", sample=whole, note="equal entries share the gradient"),
    binary("minimum", "np.minimum", "torch.minimum", sample=whole, note="equal entries share the gradient"),
    # Operators
    binary("__add__", "np.add", "torch.add"),
    binary("__radd__", "np.add", "torch.add"),
    binary("__sub__", "np.subtract", "torch.sub", refuses=no_booleans_at_all),
    binary(
        "__rsub__",
        "np.subtract",
        "torch.sub",
        refuses=no_booleans_at_all,
        numpy=lambda a, b: b - a,
        torch=lambda a, b: b - a,
    ),
    binary("__mul__", "np.multiply", "torch.mul"),
    binary("__rmul__", "np.multiply", "torch.mul"),
    binary("__truediv__", "np.divide", "torch.div", as_float, positive),
    binary(
        "__rtruediv__", "np.divide", "torch.div", as_float, positive, numpy=lambda a, b: b / a, torch=lambda a, b: b / a
    ),
    binary(
        "__floordiv__",
        "np.floor_divide",
        "torch.floor_divide",
        as_numbers,
        positive,
        torch=lambda a, b: (a / b).floor().detach(),
        note="integers are not divided by 0; in a compiled step, the result is 0",
        **KEEPS,
    ),
    binary(
        "__rfloordiv__",
        "np.floor_divide",
        "torch.floor_divide",
        as_numbers,
        positive,
        numpy=lambda a, b: b // a,
        torch=lambda a, b: (b / a).floor().detach(),
        **KEEPS,
    ),
    binary(
        "__mod__",
        "np.remainder",
        "torch.remainder",
        as_numbers,
        positive,
        note="integers are not divided by 0; in a compiled step, the result is 0",
    ),
    binary(
        "__rmod__",
        "np.remainder",
        "torch.remainder",
        as_numbers,
        positive,
        numpy=lambda a, b: b % a,
        torch=lambda a, b: b % a,
    ),
    binary("__pow__", "np.power", "torch.pow", as_numbers, positive),
    binary("__rpow__", "np.power", "torch.pow", as_numbers, positive, numpy=lambda a, b: b**a, torch=lambda a, b: b**a),
    binary(
        "__matmul__",
        "np.matmul",
        "torch.matmul",
        shapes=(
            ((2, 3), (3, 4)),
            ((3,), (3,)),
            ((0, 3), (3, 2)),
            ((2, 0), (0, 3)),
            ((1, 1), (1, 1)),
            ((2, 3, 4), (4, 1)),
            ((2, 3), (2, 3)),
            ((), (3,)),
        ),
    ),
    binary(
        "__rmatmul__",
        "np.matmul",
        "torch.matmul",
        shapes=(((3, 4), (2, 3)), ((3,), (3,))),
        numpy=lambda a, b: b @ a,
        torch=lambda a, b: b @ a,
    ),
    binary(
        "matmul",
        "np.matmul",
        "torch.matmul",
        shapes=(
            ((2, 3), (3, 4)),
            ((3,), (3, 2)),
            ((2, 1, 3, 4), (5, 4, 2)),
            ((0, 2, 3), (3, 2)),
            ((2, 3), (4, 2)),
            ((3,), ()),
        ),
    ),
    *[
        binary(f"__{name}__", f"np.{full}", f"torch.{short}", sample=whole, **KEEPS)
        for name, full, short in (
            ("gt", "greater", "gt"),
            ("ge", "greater_equal", "ge"),
            ("lt", "less", "lt"),
            ("le", "less_equal", "le"),
            ("eq", "equal", "eq"),
            ("ne", "not_equal", "ne"),
        )
    ],
    *[
        binary(
            f"__{prefix}{name}__",
            f"np.bitwise_{name}",
            f"torch.bitwise_{name}",
            sample=whole,
            refuses=only_bits,
            **KEEPS,
        )
        for name in ("and", "or", "xor")
        for prefix in ("", "r")
    ],
    unary("__invert__", "np.invert", "torch.bitwise_not", whole, unchanged, refuses=only_bits, **KEEPS),
    unary("__neg__", "np.negative", "torch.neg", small, unchanged, refuses=no_booleans),
    unary("__pos__", lambda x: x, "torch.positive", computes=unchanged, numpy_name="np.positive"),
    unary("__abs__", "np.abs", "torch.abs", small, unchanged),
    unary(
        "__round__",
        lambda x: np.round(x) if x.dtype.kind == "f" else x,
        "torch.round",
        computes=unchanged,
        numpy_name="np.round",
        **KEEPS,
    ),
    # Activations
    unary("identity", lambda x: x, lambda x: x, computes=unchanged, torch_name="torch.nn.Identity"),
    unary("relu", lambda x: np.maximum(x, 0), TF + "relu", computes=unchanged, refuses=no_booleans),
    unary(
        "ReLU",
        lambda x: np.maximum(x, 0),
        TF + "relu",
        computes=unchanged,
        refuses=no_booleans,
        note="the name in the notebook",
    ),
    unary("leaky_relu", lambda x: np.where(x > 0, x, x * x.dtype.type(0.01)), TF + "leaky_relu"),
    unary("elu", numpy_elu, TF + "elu"),
    unary(
        "selu", lambda x: x.dtype.type(1.0507009873554805) * numpy_elu(x, x.dtype.type(1.6732632423543772)), TF + "selu"
    ),
    unary("sigmoid", numpy_sigmoid, "torch.sigmoid"),
    unary("logsigmoid", lambda x: -softplus(-x), TF + "logsigmoid"),
    unary("softplus", softplus, TF + "softplus", note="exact; PyTorch returns x above 20"),
    unary("silu", lambda x: x * numpy_sigmoid(x), TF + "silu"),
    unary("SiLU", lambda x: x * numpy_sigmoid(x), TF + "silu", note="the name in the notebook"),
    unary("mish", lambda x: x * np.tanh(softplus(x)), TF + "mish"),
    unary("gelu", numpy_gelu, TF + "gelu", options=({}, {"approximate": "tanh"})),
    unary(
        "hardtanh",
        lambda x: np.clip(x, -1, 1),
        TF + "hardtanh",
        computes=unchanged,
        types=("float32", "float64"),
        note="the derivative at a bound is 1; PyTorch's is 0",
    ),
    unary(
        "hardswish",
        lambda x: x * np.clip(x + 3, 0, 6) / 6,
        TF + "hardswish",
        note="the derivatives at -3 and 3 are those of the inner side",
    ),
]
