"""The primitives: everything that the library can compute and differentiate, one file per family. Imports NumPy only.

An entry is elementwise (a function composed of NumPy's elementwise functions) or a kernel (a list of NumPy calls that
write into a given array); its derivatives stand beside it. `table` documents both kinds, and the rules by which a value
has the same bits in an eager step, in a compiled step and in a stack of runs. `special` and `windows` are imported by
their own names.
"""

from minitrain.autograd.primitives.arithmetic import add, divide, maximum, multiply, negative, pow_, power, subtract
from minitrain.autograd.primitives.functions import abs_, exp, log, relu, sigmoid, sign, silu, sqrt, tanh
from minitrain.autograd.primitives.movement import (
    Key,
    broadcast,
    cast,
    concatenate,
    identity,
    reinterpret,
    reshape,
    scatter_add,
    slice_,
    take,
    transpose,
    unslice,
)
from minitrain.autograd.primitives.products import matmul
from minitrain.autograd.primitives.reductions import SHORT, argmax, cumsum, max_, sum_
from minitrain.autograd.primitives.selection import (
    equal,
    greater,
    greater_equal,
    isfinite,
    less,
    less_equal,
    mask,
    not_equal,
    select,
    where,
)
from minitrain.autograd.primitives.table import TABLE, Call, Derivative, Kernel, Primitive, elementwise, kernel, quiet

__all__ = [
    "SHORT",
    "TABLE",
    "Call",
    "Derivative",
    "Kernel",
    "Key",
    "Primitive",
    "abs_",
    "add",
    "argmax",
    "broadcast",
    "cast",
    "concatenate",
    "cumsum",
    "divide",
    "elementwise",
    "equal",
    "exp",
    "greater",
    "greater_equal",
    "identity",
    "isfinite",
    "kernel",
    "less",
    "less_equal",
    "log",
    "mask",
    "matmul",
    "max_",
    "maximum",
    "multiply",
    "negative",
    "not_equal",
    "pow_",
    "power",
    "quiet",
    "reinterpret",
    "relu",
    "reshape",
    "scatter_add",
    "select",
    "sigmoid",
    "sign",
    "silu",
    "slice_",
    "sqrt",
    "subtract",
    "sum_",
    "take",
    "tanh",
    "transpose",
    "unslice",
    "where",
]
