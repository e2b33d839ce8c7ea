"""Inputs and options for every entry of the table of primitives, at which its derivatives are checked."""

import numpy as np

rng = np.random.default_rng(7)


def away_from_0(*shape):
    """Values between 0.3 and 1.7 of either sign: no kink is near."""
    return rng.uniform(0.3, 1.7, shape) * rng.choice([-1.0, 1.0], shape)


def positive(*shape):
    return rng.uniform(0.3, 1.7, shape)


def integers(*values):
    return np.array(values)


A = away_from_0(3, 4)
TIED = np.array([[1.0, 3.0, 3.0], [2.0, 0.5, 1.5]])

# Name -> (inputs, options) pairs at which the entry is differentiable.
CASES = {
    "add": [((A, away_from_0(3, 4)), {})],
    "subtract": [((A, away_from_0(3, 4)), {})],
    "multiply": [((A, away_from_0(3, 4)), {})],
    "divide": [((A, away_from_0(3, 4)), {})],
    "floor_divide": [((A, away_from_0(3, 4)), {})],
    "remainder": [((np.array([[2.6, -0.9], [1.2, 5.4]]), np.array([[1.0, 0.7], [-0.5, 2.2]])), {})],
    "negative": [((A,), {})],
    "power": [((positive(3, 4),), {"exponent": e}) for e in (-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 2.5)],
    "pow": [((positive(3, 4), away_from_0(3, 4)), {})],
    "exp": [((A,), {})],
    "log": [((positive(3, 4),), {})],
    "sqrt": [((positive(3, 4),), {})],
    "sign": [((A,), {})],
    "abs": [((A,), {})],
    "log1p": [((A / 2,), {})],
    "expm1": [((A,), {})],
    "sin": [((A,), {})],
    "cos": [((A,), {})],
    "erf": [((A,), {}), ((A / 4,), {}), ((positive(3, 4) * 3,), {})],
    "softplus": [((A,), {})],
    "floor": [((A,), {})],
    "round": [((A,), {})],
    "arctan": [((A,), {})],
    "tanh": [((A,), {})],
    "sigmoid": [((A,), {})],
    "silu": [((A,), {})],
    "relu": [((A,), {})],
    "maximum": [((A, A + away_from_0(3, 4)), {})],
    "mask": [((A > 0, away_from_0(3, 4)), {})],
    "where": [((A > 0, A, away_from_0(3, 4)), {})],
    "greater": [((A, -A), {})],
    "greater_equal": [((A, -A), {})],
    "less": [((A, -A), {})],
    "less_equal": [((A, -A), {})],
    "equal": [((A, -A), {})],
    "not_equal": [((A, -A), {})],
    "bitwise_and": [((A > 0, A > -1), {}), ((integers(12, -5, 7), integers(10, 3, -8)), {})],
    "invert": [((A > 0,), {}), ((integers(0, -1, 7),), {})],
    "isfinite": [((A,), {})],
    "argsort": [((A,), {"axis": -1}), ((TIED,), {"axis": -2})],
    "argmax": [((A,), {"axis": -1}), ((A,), {"axis": -2})],
    "sum": [((A,), {"axes": axes}) for axes in ((-1,), (-2,), (-2, -1))] + [((away_from_0(2, 3, 4),), {"axes": (-3,)})],
    "max": [((A,), {"axes": axes}) for axes in ((-1,), (-2,), (-2, -1))],
    "cumsum": [((A,), {"axis": axis, "backward": backward}) for axis in (-1, -2) for backward in (False, True)],
    "identity": [((A,), {})],
    "cast": [((A,), {"dtype": "float64"})],
    "reinterpret": [((A,), {"dtype": "int64"})],
    "reshape": [((A,), {"shape": (2, 6)}), ((A,), {"shape": (12,)})],
    "broadcast": [
        ((A,), {"shape": (2, 3, 4)}), ((away_from_0(3, 1),), {"shape": (3, 4)}), ((A[0, 0],), {"shape": (2,)}),
    ],
    "transpose": [((A,), {"axes": (-1, -2)}), ((away_from_0(2, 3, 4),), {"axes": (-1, -3, -2)})],
    "concatenate": [((A, away_from_0(2, 4), A), {"axis": -2}), ((A, away_from_0(3, 1)), {"axis": -1})],
    "slice": [((A,), {"key": (slice(0, 2), slice(None, None, -2))})],
    "unslice": [((away_from_0(2, 2),), {"key": (slice(0, 2), slice(0, 4, 2)), "shape": (3, 4)})],
    "take": [((A, integers(2, 0, 2)), {}), ((A[:, 0], np.array([[1, 1], [0, 2]])), {})],
    "scatter_add": [((A, integers(2, 0, 2)), {"size": 5})],
    "unfold": [
        ((away_from_0(2, 7),), {"kernel": (3,), "stride": (2,), "dilation": (1,)}),
        ((away_from_0(1, 2, 3, 4),), {"kernel": (2, 1), "stride": (1, 2), "dilation": (2, 1)}),
    ],
    "fold": [
        ((away_from_0(2, 3, 2),), {"sizes": (7,), "stride": (3,), "dilation": (1,)}),
        ((away_from_0(2, 2, 1, 1, 2),), {"sizes": (3, 4), "stride": (1, 2), "dilation": (2, 1)}),
    ],
    "matmul": [
        ((away_from_0(*left), away_from_0(*right)), {"transpose_a": ta, "transpose_b": tb})
        for left, right, ta, tb in (
            ((3, 4), (4, 2), False, False),
            ((4, 3), (4, 2), True, False),
            ((3, 4), (2, 4), False, True),
            ((4, 3), (2, 4), True, True),
            ((3, 1), (1, 2), False, False),
            ((1, 3), (2, 1), True, True),
            ((2, 3, 4), (2, 4, 5), False, False),
        )
    ],
}  # fmt: skip


def as_arrays(inputs):
    return [np.asarray(x) for x in inputs]
