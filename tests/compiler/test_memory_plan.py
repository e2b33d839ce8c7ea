"""Replays: places are used again, results land where they are wanted, and nothing is overwritten that is still read."""

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


def replay_of(fn, *inputs, **options):
    replay = NumpyExecutor(optimize(trace(fn, *inputs)), **options)
    for array, x in zip(replay.inputs.values(), inputs, strict=True):
        array[...] = x
    return replay


def assert_follows(fn, inputs, in_place=None, first=(), steps=4, runs=None, stacked=()):
    """Replayed step by step, fn gives what it gives at once; what `in_place` names goes on from there."""
    in_place = in_place or {}
    replay = replay_of(fn, *inputs, runs=runs, stacked=stacked, in_place=in_place, first=first)
    names = list(replay.inputs)
    now = dict(zip(names, map(np.array, inputs), strict=True))
    states = [{n: x + run if n in stacked else x for n, x in now.items()} for run in range(runs or 1)]
    rng = np.random.default_rng(0)

    def part(name, array, run):
        return array[run] if runs is not None and name in across else array

    for step in range(steps):
        for name in sorted({*names} - {*in_place.values()}):  # what the step does not replace, its caller changes
            change = rng.normal()
            for state in states:
                state[name] = (state[name] * change).astype(state[name].dtype)
        across = set(stacked)
        for name in names:
            replay.inputs[name][...] = [s[name] for s in states] if name in stacked else states[0][name]
        expected = [{name: t._data.copy() for name, t in fn(*map(Tensor, s.values())).items()} for s in states]
        before = {name: array.copy() for name, array in replay.inputs.items()}
        replay.run(0)
        assert all(same_bits(before[name], array) for name, array in replay.inputs.items())
        if runs is not None:
            across |= {name for name, array in replay.outputs.items() if array.ndim > expected[0][name].ndim}
        for run, values in enumerate(expected):
            for name in set(first) - set(in_place):
                assert same_bits(values[name], part(name, replay.outputs[name], run)), f"{name} first, step {step}"
        replay.run(1)
        for run, values in enumerate(expected):
            for name, value in values.items():
                assert same_bits(value, part(name, replay.outputs[name], run)), f"{name}, step {step}, run {run}"
            for output, target in in_place.items():
                states[run][target] = values[output]
            for name in names:
                assert same_bits(states[run][name], part(name, replay.inputs[name], run)), f"{name}, step {step}"


def chain(x):
    for _ in range(50):
        x = (x * 1.5).tanh()
    return {"y": x}


def test_a_place_that_nothing_reads_any_more_is_used_again():
    replay = replay_of(chain, np.ones(1000))
    assert replay.nbytes <= 2 * (8 * 1000 + 64)
    assert replay.calls == 100


def test_what_is_left_of_a_larger_place_is_used_too():
    arena = Arena()
    whole = arena.allocate(192)
    arena.free(whole, 192)
    assert (arena.allocate(64), arena.allocate(128), arena.nbytes) == (0, 64, 192)


def test_a_product_s_operand_is_given_back_once_it_was_read():
    def fn(x):
        for _ in range(10):
            x = x @ np.eye(64)
        return {"y": x}

    assert replay_of(fn, np.ones((64, 64))).nbytes <= 2 * (8 * 64 * 64 + 64)


def test_a_tape_is_left_as_it_was():
    tape = optimize(trace(lambda a: {"x": a * 2.0, "old": a}, A))
    before = str(tape)
    NumpyExecutor(tape, in_place={"x": "a"})
    tape.check()
    assert str(tape) == before


def test_places_are_aligned_to_cache_lines():
    made = []  # kept, so that each lies elsewhere
    for size in range(1, 200):
        made.append(replay_of(lambda x: {"y": x[1:4] * 2.0, "z": x[:1] + 1.0, "x": x * 2.0}, np.ones(size)))
        assert all(array.ctypes.data % 64 == 0 for array in made[-1].outputs.values())


def names_of(replay):
    return [call.func.__name__ for phase in replay.phases for call in phase]


def test_parts_are_written_straight_into_a_joined_vector():
    replay = replay_of(lambda a, b: {"y": concatenate([(a * 2.0).reshape(2, 3).reshape(-1), b.tanh()])}, A, B)
    assert names_of(replay) == ["multiply", "tanh"]
    replay.run()
    assert (replay.outputs["y"] == np.concatenate([A * 2, np.tanh(B)])).all()


def test_a_result_is_written_over_the_input_that_it_replaces():
    replay = replay_of(lambda a, b: {"new": a * 0.5 + b}, A, B, in_place={"new": "a"})
    assert names_of(replay) == ["multiply", "add"]
    assert replay.outputs["new"] is replay.inputs["a"]


def test_a_given_array_is_used_where_it_lies():
    vector = A.copy()
    replay = replay_of(lambda a: {"new": a * 2.0}, A, given={"a": vector}, in_place={"new": "a"})
    replay.run()
    assert (vector == A * 2).all()


def test_a_given_array_of_another_type_is_refused():
    with pytest.raises(ValueError, match=r"executor: the array for input a is f32\[6\], expected f64\[6\]"):
        replay_of(lambda a: [a * 2.0], A, given={"a": A.astype("float32")})


TRAPS = {
    "swapped": (lambda a, b: {"x": b, "y": a}, {"x": "a", "y": "b"}),
    "swapped results": (lambda a, b: {"x": b * 1.5, "y": a * 2.0}, {"x": "a", "y": "b"}),
    "one result twice": (lambda a, b: {"x": a + b, "y": a + b}, {"x": "a", "y": "b"}),
    "the input given out": (lambda a, b: {"x": a * 2.0, "old": a}, {"x": "a"}),
    "a view of the input given out": (lambda a, b: {"x": a * 2.0, "old": a.reshape(2, 3)}, {"x": "a"}),
    "a part of the input given out": (lambda a, b: {"x": a * 2.0, "old": a[1:3]}, {"x": "a"}),
    "a view of the result given out": (lambda a, b: (lambda t: {"x": t, "y": t.reshape(3, 2)})(a * b), {"x": "a"}),
    "the old value read later": (lambda a, b: {"x": a * 2.0, "y": a.sum() * b}, {"x": "a"}),
    "turned around": (lambda a, b: {"x": a[::-1] * 2.0}, {"x": "a"}),
    "times one of its numbers": (lambda a, b: {"x": a * a[2]}, {"x": "a"}),
    "joined from its parts": (lambda a, b: {"x": concatenate([a[3:] * 2.0, a[:3] * 3.0])}, {"x": "a"}),
    "joined from its views": (lambda a, b: {"x": concatenate([a[3:], a[:3]])}, {"x": "a"}),
    "joined of joined": (lambda a, b: {"x": concatenate([concatenate([a * 2.0, b * 3.0]), a + b])}, {}),
    "joined of masked": (lambda a, b: {"x": concatenate([(a > 2.0).masks(a * 3.0), a + b])}, {}),
    "a part joined twice": (lambda a, b: (lambda t: {"x": concatenate([t, t])})(a * b), {}),
    "a part of two": (lambda a, b: (lambda t: {"x": concatenate([t, a]) + concatenate([b, t])})(a * b), {}),
    "a part given out": (lambda a, b: (lambda t: {"t": t, "x": concatenate([t, a])})(a * b), {"t": "a"}),
    "a constant": (lambda a, b: {"x": Tensor(np.ones(6)), "y": a * b}, {"x": "a"}),
    "unchanged": (lambda a, b: {"x": a, "y": a * b}, {"x": "a"}),
    "a matrix product": (
        lambda a, b: {"x": (a.reshape(2, 3) @ b.reshape(3, 2) @ a.reshape(2, 3)).reshape(-1)}, {"x": "a"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("runs", [None, 3])
@pytest.mark.parametrize("name", TRAPS)
def test_what_is_still_read_is_not_overwritten(name, runs):
    fn, in_place = TRAPS[name]
    outputs = list(fn(Tensor(A), Tensor(B)))
    for first in ([], outputs[:1], outputs[1:], outputs):
        assert_follows(fn, [A, B], in_place, first, runs=runs, stacked=("a", "b") if runs else ())


def test_a_truth_value_that_is_replaced_is_given_out_as_it_was():
    replay = replay_of(lambda a: {"x": a == False, "old": a}, A > 2, in_place={"x": "a"})  # noqa: E712  # elementwise
    replay.run()
    assert (replay.outputs["old"] == (A > 2)).all()
    assert (replay.outputs["x"] == (A <= 2)).all()


def test_a_result_of_another_type_is_copied_into_the_input_that_it_replaces():
    replay = replay_of(lambda a: {"x": a.astype("float64") / 3.0}, A.astype("float32"), in_place={"x": "a"})
    replay.run()
    assert same_bits(replay.inputs["a"], (A / 3.0).astype("float32"))


NAMES = st.sets(st.sampled_from(["a", "b", "total", "joined"])).map(sorted)
IN_PLACE = st.sampled_from([{}, {"a": "a"}, {"b": "b"}, {"a": "a", "b": "b"}, {"a": "b", "b": "a"}])


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(graphs(shapes=STEP, steps=12, special=True), IN_PLACE, NAMES, st.sampled_from([None, 2]))
def test_random_programs_follow_over_many_steps(graph, in_place, first, runs):
    inputs = graph.inputs(("float32", "float64")[graph.seed % 2])
    assert_follows(as_step(graph), inputs, in_place, first, 5, runs, ("a", "b") if runs else ())


def small_network(w, v, x, y):
    def loss(w, v):
        return F.cross_entropy((x @ w).relu() @ v, y)

    value, (dw, dv) = value_and_grad(loss, (0, 1))(w, v)
    return {"loss": value, "w": w - dw * 0.1, "v": v - dv * 0.1}


def test_memory_stays_flat_while_replaying():
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=shape) for shape in ((64, 64), (64, 10), (64, 64))]
    replay = replay_of(small_network, *inputs, np.arange(64) % 10, in_place={"w": "w", "v": "v"}, first=["loss"])
    replay.run()
    tracemalloc.start()
    try:
        replay.run()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            replay.run()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert after - before < 512  # a few Python objects, no array: the smallest has 64 x 10 entries
