"""Each pass: its effect on small tapes, the rewrites it must not apply, and the bits of random programs."""

import numpy as np
import pytest
from hypothesis import given, settings
from programs import STEP, as_step, graphs, run_as_written, same_bits

from minitrain import Tensor
from minitrain.compiler import passes
from minitrain.compiler.passes import (
    PASSES,
    eliminate_common_subexpressions,
    eliminate_dead_code,
    fold_constants,
    lower_to_numpy,
    optimize,
    simplify_algebra,
)
from minitrain.compiler.tracing import trace

ROW = np.array([1.0, -0.0, 3.0])


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


def body(tape):
    """The instructions and outputs, without the inputs."""
    return [line for line in str(tape).splitlines() if "= input" not in line]


def test_lower_to_numpy_writes_a_primitive_as_its_calls():
    assert body(lower_to_numpy(trace(lambda x: x.sigmoid(), ROW))) == [
        "%1: f64[] = constant 1.0",
        "%2: f64[3] = negative %0",
        "%3: f64[3] = exp %2",
        "%4: f64[3] = add %3 %1",
        "%5: f64[3] = reciprocal %4",
        "output 0 = %5",
    ]


def test_eliminate_dead_code_keeps_inputs_and_what_outputs_depend_on():
    def fn(x, y):
        y.exp() * 2.0
        return x.tanh()

    assert str(eliminate_dead_code(trace(fn, ROW, ROW))).splitlines() == [
        "%0: f64[3] = input x",
        "%1: f64[3] = input y",
        "%2: f64[3] = tanh %0",
        "output 0 = %2",
    ]


def test_fold_constants_computes_what_depends_on_constants_alone():
    two = Tensor(2.0)
    assert body(eliminate_dead_code(fold_constants(trace(lambda x: x * (two * 3.0).sqrt(), ROW)))) == [
        f"%1: f64[] = constant {np.sqrt(6.0)}",
        "%2: f64[3] = multiply %0 %1",
        "output 0 = %2",
    ]


def test_eliminate_common_subexpressions_computes_equal_values_once():
    assert body(
        eliminate_dead_code(eliminate_common_subexpressions(trace(lambda x: x.exp() * 2.0 + x.exp() * 2.0, ROW)))
    ) == [
        "%1: f64[] = constant 2.0",
        "%2: f64[3] = exp %0",
        "%3: f64[3] = multiply %2 %1",
        "%4: f64[3] = add %3 %3",
        "output 0 = %4",
    ]


def test_eliminate_common_subexpressions_distinguishes_0_and_minus_0():
    tape = eliminate_common_subexpressions(trace(lambda x: x + Tensor(0.0) + Tensor(-0.0), ROW))
    assert [str(array) for array in tape.constants.values()] == ["0.0", "-0.0"]


SIMPLER = {
    "times 1": (lambda x: x * 1.0, []),
    "1 times": (lambda x: 1.0 * x, []),
    "over 1": (lambda x: x / 1.0, []),
    "power 1": (lambda x: x**1.0, []),
    "minus twice": (lambda x: -(-x), []),  # noqa: B002
    "plus minus": (lambda x: x.exp() + -x, ["exp", "subtract"]),
    "minus minus": (lambda x: x.exp() - -x, ["exp", "add"]),
    "reshaped twice": (lambda x: x.reshape(1, 3).reshape(3, 1), ["reshape"]),
    "reshaped back": (lambda x: x.reshape(1, 3).reshape(3), []),
    "a repeated number": (lambda x: x * x.sum().broadcast_to((3,)), ["reshape", "sum", "multiply"]),
    "a repeated number, reshaped": (
        lambda x: x.sum().broadcast_to((2, 3)).reshape(6),
        ["reshape", "sum", "broadcast"],
    ),
    "a repeated row, reshaped": (lambda x: x.broadcast_to((2, 3)).reshape(6), ["broadcast", "reshape"]),
    "a function of one": (lambda x: x.sum().broadcast_to((3,)).exp(), ["reshape", "sum", "exp", "broadcast"]),
}


def test_a_constant_that_repeats_a_scalar_is_kept_as_the_scalar():
    tape = optimize(trace(lambda x: x * Tensor(2.0).broadcast_to((3,)), ROW))
    assert body(tape) == ["%1: f64[] = constant 2.0", "%2: f64[3] = multiply %0 %1", "output 0 = %2"]


def test_nonfinite_constants_are_folded_without_a_warning():
    with np.errstate(all="warn"):
        optimize(trace(lambda x: x + Tensor(np.inf) * 0.0, ROW))


def test_a_pass_that_returns_an_invalid_tape_is_detected(monkeypatch):
    def incorrect_pass(tape):
        del tape.instructions[0]
        return tape

    monkeypatch.setattr(passes, "PASSES", (lower_to_numpy, incorrect_pass))
    with pytest.raises(ValueError, match="is not defined"):
        optimize(trace(lambda x: x.tanh(), ROW))


@pytest.mark.parametrize("name", SIMPLER)
def test_simplify_algebra(name):
    fn, expected = SIMPLER[name]
    assert [
        i.name for i in eliminate_dead_code(simplify_algebra(lower_to_numpy(trace(fn, ROW)))).instructions
    ] == expected


BIT_CHANGING = {
    "plus 0": lambda x: x + 0.0,
    "minus 0 plus": lambda x: x + -0.0,
    "times 0": lambda x: x * 0.0,
    "minus itself": lambda x: x - x,
    "over itself": lambda x: x / x,
    "1 over": lambda x: 1.0 / x,
    "0 minus": lambda x: 0.0 - x,
    "reassociated": lambda x: (x + 1e16) - 1e16,
    "over a number": lambda x: x / 3.0,
    "exp of log": lambda x: x.log().exp(),
    "sum of one entry": lambda x: x[1:2].sum(),
    "sum of a repeated number": lambda x: x[1].broadcast_to((7,)).sum(),
    "to a narrower type and back": lambda x: (x / 3.0).astype("float32").astype("float64"),
}


@pytest.mark.parametrize("name", BIT_CHANGING)
def test_rewrites_that_would_change_bits_are_not_applied(name):
    tape = trace(BIT_CHANGING[name], ROW)
    for x in (ROW, np.array([np.inf, np.nan, 5e-324]), np.array([0.1, -1e300, 0.0])):
        before, after = (run_as_written(t, {"x": x})["0"] for t in (tape, optimize(tape)))
        assert same_bits(before, after)


@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(graphs(shapes=STEP, steps=12, special=True))
def test_every_pass_preserves_the_bits_of_random_programs(graph):
    program, inputs = as_step(graph), graph.inputs(("float32", "float64")[graph.seed % 2])
    tape = trace(program, *inputs)
    values = dict(zip(tape.inputs, inputs, strict=True))
    before = run_as_written(tape, values)
    for name, t in program(*map(Tensor, inputs)).items():
        assert same_bits(t._data, before[name])
    for number, apply_pass in enumerate(PASSES):
        tape = apply_pass(tape)
        tape.check()
        after = run_as_written(tape, values)
        for name in before:
            assert same_bits(before[name], after[name]), f"{name} after pass {number}, {apply_pass.__name__}"
