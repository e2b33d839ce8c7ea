"""Tracing: what a function may not do is rejected with its file and line, and a way to fix it."""

import re
import threading

import numpy as np
import pytest
from programs import run_as_written

from minitrain import Tensor
from minitrain import functional as F
from minitrain.autograd.graph import recording
from minitrain.compiler.tracing import ADVICE, trace, tracing
from minitrain.errors import TracingError

X = np.array([1.0, 2.0, 3.0])
HERE = r"test_tracing\.py line \d+"
ADVICE_ON_ACCESS = (
    "choose between values with where(condition, a, b), keep to functions of Tensors, or set engine=eager"
)

# Access -> (function, its description in the message)
ACCESSES = {
    "bool": (lambda x: x * bool(x[0]), "bool()"),
    "if": (lambda x: x if x.sum() > 0 else -x, "bool(), or a comparison in an `if`,"),
    "not": (lambda x: x * (not x[0]), "bool()"),
    "float": (lambda x: x * float(x[0]), "float()"),
    "int": (lambda x: x * int(x[0]), "int()"),
    "item": (lambda x: x * x.sum().item(), ".item()"),
    "numpy": (lambda x: x * x.numpy(), ".numpy()"),
    "asarray": (lambda x: x * np.asarray(x), "an array of it"),
    "data": (lambda x: x * x.data, ".data"),
    "mask": (lambda x: x[x > 1.5], ".numpy()"),
    "max": (lambda x: max(x[0], x[1]), "bool()"),
    "in": (lambda x: x if 1.0 in [x[0]] else -x, "bool()"),
    "format": (lambda x: x if f"{x[0]:.2f}" else -x, ".item()"),
}


@pytest.mark.parametrize("name", ACCESSES)
def test_reading_an_input_dependent_value_is_rejected(name):
    fn, description = ACCESSES[name]
    with pytest.raises(TracingError) as error:
        trace(fn, X)
    message = str(error.value)
    line = fn.__code__.co_firstlineno
    assert message.startswith(description)
    assert f" at test_tracing.py line {line}: " in message
    assert message.endswith(ADVICE_ON_ACCESS)
    assert "\n" not in message
    assert recording.tracer is None


def test_values_that_depend_on_no_input_may_be_read():
    weights = Tensor([2.0, 3.0, 4.0])

    def fn(x):
        largest = max(weights[0], weights[1]) if weights.sum() > 0 else weights[2]
        return x[np.asarray(weights) > 2.5] * float(largest) * weights.numpy()[:2] * len(x) * x.shape[0]

    assert trace(fn, X).outputs


def test_random_numbers_drawn_by_the_function_are_rejected():
    rng = np.random.default_rng(0)
    pattern = rf"a value used at {HERE} changes from step to step \(f64\[3\]\), .*{re.escape(ADVICE)}$"
    with pytest.raises(TracingError, match=pattern):
        trace(lambda x: x * rng.normal(size=3), X)
    with pytest.raises(TracingError, match=r"depends on the global generators `random` or `np.random`"):
        trace(lambda x: x + np.random.rand(3), X)  # noqa: NPY002  # as users write it


def test_an_array_that_changes_is_rejected():
    outside = np.ones(3)

    def fn(x):
        outside[0] += 1
        return x * outside

    with pytest.raises(TracingError, match=rf"a value used at {HERE} changes from step to step"):
        trace(fn, X)


def test_operations_that_change_are_rejected():
    calls = iter(range(9))
    with pytest.raises(TracingError, match=rf"the number of operations changes.*{re.escape(ADVICE)}$"):
        trace(lambda x: x.tanh() if next(calls) else x.tanh().exp(), X)
    calls = iter(range(9))
    with pytest.raises(TracingError, match="the operations change from step to step: tanh %0, then exp %0"):
        trace(lambda x: x.exp() if next(calls) else x.tanh(), X)
    exponents = iter([2.0, 3.0])
    with pytest.raises(TracingError, match=r"power %0 exponent=2\.0, then power %0 exponent=3\.0"):
        trace(lambda x: x ** next(exponents), X)


def test_tracing_ends_after_an_error():
    with pytest.raises(ZeroDivisionError):
        trace(lambda x: x * (1 / 0), X)
    assert recording.tracer is None
    assert float(Tensor(2.0) * 3.0) == 6.0


def test_nested_tracing_records_separate_tapes():
    with tracing() as outer:
        x = outer.input("x", Tensor(X))
        inner = trace(lambda y: y.exp().exp(), X)
        assert recording.tracer is outer
        x.tanh()
    assert [i.name for i in inner.instructions] == ["exp", "exp"]
    assert [i.name for i in outer.tape.instructions] == ["tanh"]
    assert recording.tracer is None


def test_another_thread_is_not_traced():
    sums = []

    def elsewhere():
        sums.append(float((Tensor(X) * 2.0).sum()))

    with tracing() as tracer:
        tracer.input("x", Tensor(X))
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert sums == [12.0]
    assert not tracer.tape.instructions


def test_an_output_that_is_not_a_tensor_is_rejected():
    with pytest.raises(TypeError, match="trace: output 0 is a ndarray, expected a Tensor"):
        trace(lambda x: [np.ones(3)], X)


def test_index_inputs_may_be_negative():
    rows = np.arange(12.0).reshape(4, 3)
    for fn in (lambda x, at: x[at], lambda x, at: F.embedding(at, x)):
        tape = trace(fn, rows, np.array([0, 1]))
        selected = run_as_written(tape, dict(zip(tape.inputs, (rows, np.array([-1, 2])), strict=True)))
        assert selected["0"].tolist() == rows[[-1, 2]].tolist()


def test_nonfinite_values_are_traced_without_a_warning():
    assert str(trace(lambda x: x * 0.0, np.array([np.inf]))).endswith("output 0 = %2")


def test_slices_print_as_python_writes_them():
    tape = trace(lambda x: [x[1:, ::-1], x[:2, ::2], x[-2:, 1:3]], np.ones((3, 4)))
    assert [line.partition("key=")[2] for line in str(tape).splitlines() if "key=" in line] == [
        "(1:,::-1)", "(:2,::2)", "(-2:,1:3)",
    ]  # fmt: skip


def test_inputs_have_the_names_of_the_arguments():
    assert list(trace(lambda left, right: left * right, X, X).inputs) == ["left", "right"]
    assert list(trace(lambda *all_of_them: all_of_them[0] * all_of_them[1], X, X).inputs) == ["input0", "input1"]
