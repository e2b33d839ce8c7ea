"""Printing, checking and stacking of tapes."""

from dataclasses import replace

import numpy as np
import pytest

from minitrain import Tensor
from minitrain.autograd import functional as F
from minitrain.autograd import primitives as P
from minitrain.autograd.grad import value_and_grad
from minitrain.compiler.passes import eliminate_dead_code, optimize
from minitrain.compiler.tape import Instruction, Tape, stack, unstack
from minitrain.compiler.tracing import trace
from minitrain.compiler.types import Type

FLOATS = np.dtype("float64")


def small(rate=0.5, offset=(1.0, 2.0)):
    offset = np.array(offset)
    return trace(lambda x: (x * rate + offset).tanh(), np.ones(2))


def step(w, x, y):
    """One step of gradient descent for a linear model."""
    loss, g = value_and_grad(lambda w: F.mse_loss(x @ w, y))(w)
    return {"loss": loss, "w": w - g * 0.1}


def test_a_training_step_prints_as_expected():
    tape = eliminate_dead_code(trace(step, np.ones((3, 1)), np.ones((4, 3)), np.ones((4, 1))))
    assert str(tape).splitlines() == GOLDEN


GOLDEN = """\
%0: f64[3,1] = input w
%1: f64[4,3] = input x
%2: f64[4,1] = input y
%3: f64[] = constant 4.0
%4: f64[] = constant 1.0
%5: f64[] = constant 2.0
%6: f64[] = constant 0.1
%7: f64[3,1] = identity %0
%8: f64[4,1] = matmul %1 %7 transpose_a=False transpose_b=False
%9: f64[4,1] = subtract %8 %2
%10: f64[4,1] = power %9 exponent=2.0
%11: f64[] = sum %10 axes=(-2,-1)
%12: f64[] = divide %11 %3
%13: f64[] = divide %4 %3
%14: f64[1,1] = reshape %13 shape=(1,1)
%15: f64[4,1] = broadcast %14 shape=(4,1)
%16: f64[4,1] = multiply %15 %5
%17: f64[4,1] = power %9 exponent=1.0
%18: f64[4,1] = multiply %16 %17
%19: f64[3,1] = matmul %1 %18 transpose_a=True transpose_b=False
%20: f64[3,1] = multiply %19 %6
%21: f64[3,1] = subtract %0 %20
output loss = %12
output w = %21""".splitlines()


def test_the_key_excludes_the_values_of_constants():
    assert small(0.5).key == small(0.25).key
    assert "%1: f64[] = constant\n%2: f64[2] = constant\n" in small().key
    assert "%1: f64[] = constant 0.5\n%2: f64[2] = constant array\n" in str(small())
    assert small().key != trace(lambda x: (x * 0.5 + np.ones(2)).exp(), np.ones(2)).key


def test_a_stack_merges_equal_constants_and_keeps_those_of_each_run():
    tape = stack([small(0.5), small(0.25)])
    tape.check()
    assert tape.varying == {1}
    assert tape.constants[1].tolist() == [0.5, 0.25]
    assert tape.constants[2].tolist() == [1.0, 2.0]
    assert "%1: f64[] = constant of each run" in str(tape)
    optimize(tape)


def test_a_stack_distinguishes_0_and_minus_0():
    assert stack([small(0.0), small(-0.0)]).varying == {1}


def test_tapes_with_different_keys_cannot_be_stacked():
    other = trace(lambda x: (x * 0.5 + np.ones(3)).tanh(), np.ones(3))
    with pytest.raises(ValueError, match=r"stack: run 1 computes .*, where run 0 computes .*only in numbers"):
        stack([small(), other])


def changed(**parts):
    """The small tape with some attributes replaced."""
    return replace(small(), **parts)


def test_check_accepts_a_traced_tape():
    small().check()


def test_check_rejects_a_wrong_type():
    tape = small()
    tape.types[4] = Type((3,), FLOATS)
    with pytest.raises(ValueError, match=r"tape: %4: add %3 %2 is declared as f64\[3\], expected f64\[2\]"):
        tape.check()


def test_check_rejects_incompatible_operands():
    tape = small()
    tape.types[3] = Type((3,), FLOATS)
    tape.types[0] = Type((3,), FLOATS)
    with pytest.raises(ValueError, match=r"add"):
        tape.check()


def test_check_rejects_an_undefined_value():
    tape = small()
    tape.instructions.reverse()
    with pytest.raises(ValueError, match=r"tape: %5 = tanh %4: %4 is not defined before this line"):
        tape.check()


def test_check_rejects_a_value_that_is_defined_twice():
    tape = small()
    tape.instructions.append(Instruction(3, P.tanh, (0,), {}))
    with pytest.raises(ValueError, match=r"tape: %3 = tanh %0: the value is already defined"):
        tape.check()


def test_check_rejects_an_undefined_output():
    with pytest.raises(ValueError, match=r"tape: output y = %9 is not defined"):
        changed(outputs={"y": 9}).check()


def test_check_rejects_a_constant_of_another_shape():
    tape = small()
    tape.constants[2] = np.ones(3)
    with pytest.raises(ValueError, match=r"tape: %2 is declared as f64\[2\], its array is f64\[3\]"):
        tape.check()


def test_an_input_cannot_be_added_twice():
    tape = Tape()
    tape.add_input("x", Type((), FLOATS))
    with pytest.raises(ValueError, match="tape: input x already exists"):
        tape.add_input("x", Type((), FLOATS))


def stacked_tapes():
    """Three runs that multiply by different vectors, one of which no output depends on."""

    def run(number):
        factor, unused = Tensor(np.arange(3.0) + number), Tensor(np.arange(3.0) * number)
        return trace(lambda x: (x * unused, x * factor)[1], np.ones(3))

    return stack([run(number) for number in range(3)])


def test_dead_varying_constants_of_a_stack_are_eliminated():
    tape = stacked_tapes()
    tape.check()
    assert len(tape.varying) == 2
    live = eliminate_dead_code(tape)
    live.check()
    assert len(live.varying) == 1
    one, values = unstack(live)
    one.check()
    assert not one.varying
    (name,) = values
    assert list(one.inputs) == ["x", name]
    assert values[name].tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
