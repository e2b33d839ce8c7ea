"""Memory plan: buffers are reused, results are written to their destination, and no value is overwritten too early."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import STEP, as_step, graphs, same_bits

from minitrain import Tensor
from minitrain.autograd import functional as F
from minitrain.autograd.functional.arrays import concatenate
from minitrain.autograd.grad import value_and_grad
from minitrain.compiler.memory_plan import Arena
from minitrain.compiler.numpy_executor import NumpyExecutor
from minitrain.compiler.passes import optimize
from minitrain.compiler.tracing import trace

A = np.arange(1.0, 7.0)
B = A * 10


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


def executor_of(fn, *inputs, **options):
    executor = NumpyExecutor(optimize(trace(fn, *inputs)), **options)
    for array, x in zip(executor.inputs.values(), inputs, strict=True):
        array[...] = x
    return executor


def assert_matches_eager(fn, inputs, in_place=None, first=(), steps=4, runs=None, stacked=()):
    """Compare an executor with eager execution step by step; `in_place` outputs are the inputs of the next step."""
    in_place = in_place or {}
    executor = executor_of(fn, *inputs, runs=runs, stacked=stacked, in_place=in_place, first=first)
    names = list(executor.inputs)
    values = dict(zip(names, map(np.array, inputs), strict=True))
    states = [{n: x + run if n in stacked else x for n, x in values.items()} for run in range(runs or 1)]
    rng = np.random.default_rng(0)

    def part(name, array, run):
        return array[run] if runs is not None and name in across else array

    for step in range(steps):
        for name in sorted(
            {*names} - {*in_place.values()}
        ):  # the caller changes the inputs that the step does not replace
            change = rng.normal()
            for state in states:
                state[name] = (state[name] * change).astype(state[name].dtype)
        across = set(stacked)
        for name in names:
            executor.inputs[name][...] = [s[name] for s in states] if name in stacked else states[0][name]
        expected = [{name: t._data.copy() for name, t in fn(*map(Tensor, s.values())).items()} for s in states]
        before = {name: array.copy() for name, array in executor.inputs.items()}
        executor.run(0)
        assert all(same_bits(before[name], array) for name, array in executor.inputs.items())
        if runs is not None:
            across |= {name for name, array in executor.outputs.items() if array.ndim > expected[0][name].ndim}
        for run, values in enumerate(expected):
            for name in set(first) - set(in_place):
                assert same_bits(values[name], part(name, executor.outputs[name], run)), f"{name} first, step {step}"
        executor.run(1)
        for run, values in enumerate(expected):
            for name, value in values.items():
                assert same_bits(value, part(name, executor.outputs[name], run)), f"{name}, step {step}, run {run}"
            for output, target in in_place.items():
                states[run][target] = values[output]
            for name in names:
                assert same_bits(states[run][name], part(name, executor.inputs[name], run)), f"{name}, step {step}"


def chain(x):
    for _ in range(50):
        x = (x * 1.5).tanh()
    return {"y": x}


def test_buffers_are_reused_after_their_last_use():
    executor = executor_of(chain, np.ones(1000))
    assert executor.nbytes <= 2 * (8 * 1000 + 64)
    assert executor.calls == 100


def test_the_remainder_of_a_larger_block_is_used():
    arena = Arena()
    whole = arena.allocate(192)
    arena.free(whole, 192)
    assert (arena.allocate(64), arena.allocate(128), arena.nbytes) == (0, 64, 192)


def test_the_operand_of_a_product_is_freed_after_its_use():
    def fn(x):
        for _ in range(10):
            x = x @ np.eye(64)
        return {"y": x}

    assert executor_of(fn, np.ones((64, 64))).nbytes <= 2 * (8 * 64 * 64 + 64)


def test_planning_does_not_change_the_tape():
    tape = optimize(trace(lambda a: {"x": a * 2.0, "old": a}, A))
    before = str(tape)
    NumpyExecutor(tape, in_place={"x": "a"})
    tape.check()
    assert str(tape) == before


def test_buffers_are_aligned_to_cache_lines():
    executors = []  # kept alive, so that each has other memory
    for size in range(1, 200):
        executors.append(executor_of(lambda x: {"y": x[1:4] * 2.0, "z": x[:1] + 1.0, "x": x * 2.0}, np.ones(size)))
        assert all(array.ctypes.data % 64 == 0 for array in executors[-1].outputs.values())


def names_of(executor):
    return [call.func.__name__ for phase in executor.phases for call in phase]


def test_parts_are_written_directly_into_a_concatenated_vector():
    executor = executor_of(lambda a, b: {"y": concatenate([(a * 2.0).reshape(2, 3).reshape(-1), b.tanh()])}, A, B)
    assert names_of(executor) == ["multiply", "tanh"]
    executor.run()
    assert (executor.outputs["y"] == np.concatenate([A * 2, np.tanh(B)])).all()


def test_a_result_is_written_over_the_input_that_it_replaces():
    executor = executor_of(lambda a, b: {"new": a * 0.5 + b}, A, B, in_place={"new": "a"})
    assert names_of(executor) == ["multiply", "add"]
    assert executor.outputs["new"] is executor.inputs["a"]


def test_a_given_array_is_used_without_a_copy():
    vector = A.copy()
    executor = executor_of(lambda a: {"new": a * 2.0}, A, arrays={"a": vector}, in_place={"new": "a"})
    executor.run()
    assert (vector == A * 2).all()


def test_a_given_array_of_another_dtype_is_rejected():
    with pytest.raises(ValueError, match=r"executor: the array for input a is f32\[6\], expected f64\[6\]"):
        executor_of(lambda a: [a * 2.0], A, arrays={"a": A.astype("float32")})


TRAPS = {
    "swapped": (lambda a, b: {"x": b, "y": a}, {"x": "a", "y": "b"}),
    "swapped results": (lambda a, b: {"x": b * 1.5, "y": a * 2.0}, {"x": "a", "y": "b"}),
    "one result twice": (lambda a, b: {"x": a + b, "y": a + b}, {"x": "a", "y": "b"}),
    "the old input is an output": (lambda a, b: {"x": a * 2.0, "old": a}, {"x": "a"}),
    "a view of the old input is an output": (lambda a, b: {"x": a * 2.0, "old": a.reshape(2, 3)}, {"x": "a"}),
    "a part of the old input is an output": (lambda a, b: {"x": a * 2.0, "old": a[1:3]}, {"x": "a"}),
    "a view of the result is an output": (lambda a, b: (lambda t: {"x": t, "y": t.reshape(3, 2)})(a * b), {"x": "a"}),
    "the old value is read later": (lambda a, b: {"x": a * 2.0, "y": a.sum() * b}, {"x": "a"}),
    "reversed": (lambda a, b: {"x": a[::-1] * 2.0}, {"x": "a"}),
    "times one of its entries": (lambda a, b: {"x": a * a[2]}, {"x": "a"}),
    "concatenated from its parts": (lambda a, b: {"x": concatenate([a[3:] * 2.0, a[:3] * 3.0])}, {"x": "a"}),
    "concatenated from its views": (lambda a, b: {"x": concatenate([a[3:], a[:3]])}, {"x": "a"}),
    "concatenation of concatenations": (lambda a, b: {"x": concatenate([concatenate([a * 2.0, b * 3.0]), a + b])}, {}),
    "concatenation of masked values": (lambda a, b: {"x": concatenate([(a > 2.0)._masks(a * 3.0), a + b])}, {}),
    "a part concatenated twice": (lambda a, b: (lambda t: {"x": concatenate([t, t])})(a * b), {}),
    "a part of two vectors": (lambda a, b: (lambda t: {"x": concatenate([t, a]) + concatenate([b, t])})(a * b), {}),
    "a part is an output": (lambda a, b: (lambda t: {"t": t, "x": concatenate([t, a])})(a * b), {"t": "a"}),
    "a constant": (lambda a, b: {"x": Tensor(np.ones(6)), "y": a * b}, {"x": "a"}),
    "unchanged": (lambda a, b: {"x": a, "y": a * b}, {"x": "a"}),
    "a matrix product": (
        lambda a, b: {"x": (a.reshape(2, 3) @ b.reshape(3, 2) @ a.reshape(2, 3)).reshape(-1)}, {"x": "a"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("runs", [None, 3])
@pytest.mark.parametrize("name", TRAPS)
def test_values_are_not_overwritten_before_their_last_use(name, runs):
    fn, in_place = TRAPS[name]
    outputs = list(fn(Tensor(A), Tensor(B)))
    for first in ([], outputs[:1], outputs[1:], outputs):
        assert_matches_eager(fn, [A, B], in_place, first, runs=runs, stacked=("a", "b") if runs else ())


def test_the_old_value_of_a_replaced_boolean_is_returned():
    executor = executor_of(lambda a: {"x": a == False, "old": a}, A > 2, in_place={"x": "a"})  # noqa: E712  # elementwise
    executor.run()
    assert (executor.outputs["old"] == (A > 2)).all()
    assert (executor.outputs["x"] == (A <= 2)).all()


def test_a_result_of_another_dtype_is_copied_into_the_input_that_it_replaces():
    executor = executor_of(lambda a: {"x": a.astype("float64") / 3.0}, A.astype("float32"), in_place={"x": "a"})
    executor.run()
    assert same_bits(executor.inputs["a"], (A / 3.0).astype("float32"))


NAMES = st.sets(st.sampled_from(["a", "b", "total", "joined"])).map(sorted)
IN_PLACE = st.sampled_from([{}, {"a": "a"}, {"b": "b"}, {"a": "a", "b": "b"}, {"a": "b", "b": "a"}])


@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(graphs(shapes=STEP, steps=12, special=True), IN_PLACE, NAMES, st.sampled_from([None, 2]))
def test_random_programs_match_eager_execution_over_many_steps(graph, in_place, first, runs):
    inputs = graph.inputs(("float32", "float64")[graph.seed % 2])
    assert_matches_eager(as_step(graph), inputs, in_place, first, 5, runs, ("a", "b") if runs else ())


def small_network(w, v, x, y):
    def loss(w, v):
        return F.cross_entropy((x @ w).relu() @ v, y)

    value, (dw, dv) = value_and_grad(loss, (0, 1))(w, v)
    return {"loss": value, "w": w - dw * 0.1, "v": v - dv * 0.1}


def test_running_allocates_no_memory():
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=shape) for shape in ((64, 64), (64, 10), (64, 64))]
    executor = executor_of(small_network, *inputs, np.arange(64) % 10, in_place={"w": "w", "v": "v"}, first=["loss"])
    executor.run()
    tracemalloc.start()
    try:
        executor.run()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            executor.run()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert after - before < 512  # a few Python objects, no array: the smallest has 64 x 10 entries
