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
