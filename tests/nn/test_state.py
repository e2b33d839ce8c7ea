"""State of modules as arrays, exchange with PyTorch, and frozen parameters."""

import numpy as np
import pytest

from minitrain import Parameter, Tensor, nn, optim
from minitrain import functional as F
from minitrain.autograd.flat import FlatParameters, FlatTensors
from minitrain.nn.module import record_outputs

RNG = np.random.default_rng(0)


def image_pair(torch):
    ours = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, rng=0), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(64, 8, rng=1), nn.LayerNorm(8), nn.GELU(), nn.Dropout(0.5, rng=2), nn.Linear(8, 3, bias=False, rng=3),
    )  # fmt: skip
    t = torch.nn
    theirs = t.Sequential(
        t.Conv2d(1, 4, 3, padding=1), t.BatchNorm2d(4), t.ReLU(), t.MaxPool2d(2), t.Flatten(),
        t.Linear(64, 8), t.LayerNorm(8), t.GELU(), t.Dropout(0.5), t.Linear(8, 3, bias=False),
    )  # fmt: skip
    return ours, theirs, RNG.normal(size=(6, 1, 8, 8))


def text_pair(torch):
    ours = nn.Sequential(
        nn.Embedding(10, 4, rng=0), nn.Flatten(), nn.Linear(12, 5, rng=1), nn.BatchNorm1d(5), nn.Tanh()
    )
    t = torch.nn
    theirs = t.Sequential(t.Embedding(10, 4), t.Flatten(), t.Linear(12, 5), t.BatchNorm1d(5), t.Tanh())
    return ours, theirs, RNG.integers(0, 10, (6, 3))


@pytest.mark.parametrize("pair", [image_pair, text_pair])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-12)])
@pytest.mark.parametrize("to_pytorch", [True, False], ids=["to PyTorch", "from PyTorch"])
def test_state_dict_is_exchanged_with_pytorch(pair, dtype, tolerance, to_pytorch):
    torch = pytest.importorskip("torch")
    ours, theirs, x = pair(torch)
    x = x.astype(dtype) if x.dtype.kind == "f" else x
    ours, theirs = ours.astype(dtype), theirs.to(getattr(torch, dtype))
    if to_pytorch:
        ours(Tensor(x))  # moves the running statistics
        theirs.load_state_dict({key: torch.tensor(value) for key, value in ours.state_dict().items()})
    else:
        theirs(torch.tensor(x))
        ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    out = ours.eval()(Tensor(x))
    assert out.dtype == dtype
    np.testing.assert_allclose(out.numpy(), theirs.eval()(torch.tensor(x)).detach().numpy(), atol=tolerance)
    theirs_state = {key: value for key, value in theirs.state_dict().items() if not key.endswith("num_batches_tracked")}
    assert sorted(ours.state_dict()) == sorted(theirs_state)


def test_state_dict_is_a_copy():
    layer = nn.Linear(2, 1, rng=0)
    state = layer.state_dict()
    state["weight"][...] = 7.0
    assert (layer.weight.numpy() != 7.0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"0.bias": None}, "missing 0.bias; give"),
        ({"2.weight": np.ones(3)}, "unexpected 2.weight; give"),
        ({"0.weight": np.ones((2, 3))}, r"0.weight of shape \[2, 3\], expected \[3, 2\]; give"),
        ({"0.bias": None, "b": np.ones(3)}, "missing 0.bias; unexpected b; give"),
        ({"1.running_var": np.array(["1", "2", "3"])}, "1.running_var of type <U1, expected numbers; give"),
        ({"1.running_var": np.ones(3, complex)}, "1.running_var of type complex128, expected numbers; give"),
        ({"1.running_var": np.array([1, None, 2])}, "1.running_var of type object, expected numbers; give"),
        ({k: np.ones(3) for k in "abcdefg"}, "unexpected a; .*unexpected d; and 3 more; give"),
    ],
)
def test_mismatched_state_is_reported_on_one_line_and_changes_nothing(change, message):
    net = nn.Sequential(nn.Linear(2, 3, rng=0), nn.BatchNorm1d(3))
    before = net.state_dict()
    state = {key: value for key, value in {**before, "1.weight": np.zeros(3), **change}.items() if value is not None}
    with pytest.raises(ValueError, match="load_state_dict: " + message) as error:
        net.load_state_dict(state)
    assert "\n" not in str(error.value)
    assert all((value == before[key]).all() for key, value in net.state_dict().items())


def test_overflow_while_loading_a_state_changes_nothing():
    layer = nn.Linear(1, 1, rng=0).astype("float32")
    before = layer.state_dict()
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        layer.load_state_dict({"weight": np.ones((1, 1)), "bias": np.array([1e300])})
    assert all((value == before[key]).all() for key, value in layer.state_dict().items())


def test_outputs_are_recorded_for_every_name_of_a_module():
    layer = nn.ReLU()
    with record_outputs({"a": layer, "b": layer}) as outputs:
        layer(Tensor([-1.0, 2.0]))
    assert {name: t.numpy().tolist() for name, t in outputs.items()} == {"a": [0.0, 2.0], "b": [0.0, 2.0]}
    assert layer.observer is None


# Frozen parameters


def network():
    return nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh(), nn.Linear(4, 2, rng=1))


@pytest.mark.parametrize(
    ("patterns", "frozen"),
    [
        ([], []),
        (["0.*"], ["0.weight", "0.bias"]),
        (["*bias"], ["0.bias", "2.bias"]),
        (["2.weight", "0.b*"], ["2.weight", "0.bias"]),
    ],
)
def test_frozen_parameters_are_unchanged_and_in_a_separate_vector(patterns, frozen):
    net = network().freeze(patterns)
    named = net.named_parameters()
    flat = FlatParameters(named)
    trained = [name for name in ("0.weight", "2.weight", "0.bias", "2.bias") if name not in frozen]
    assert list(flat.tensors) == list(flat.split(flat.vector)) == trained
    assert list(flat.frozen.tensors) == sorted(frozen, key=lambda name: name.endswith("bias"))
    opt = optim.Adam(net.parameters(), lr=0.1)
    before = net.state_dict()
    for _ in range(3):
        opt.zero_grad()
        loss = F.cross_entropy(net(Tensor(RNG.normal(size=(5, 3)))), np.array([0, 1, 0, 1, 1]))
        loss.backward()
        opt.step()
    for name, value in net.state_dict().items():
        assert (value.tobytes() == before[name].tobytes()) == (name in frozen)
        assert (named[name].grad is None) == (name in frozen)
    assert opt.state["mean"].size == sum(named[name].size for name in trained)


def test_invalid_frozen_parameters_are_reported():
    with pytest.raises(ValueError, match=r"frozen: 1.\* matches no parameter; there is 0.weight, 0.bias, 2.weight"):
        network().freeze(["0.*", "1.*"])
    with pytest.raises(ValueError, match="all 4 are frozen: there is nothing to train"):
        FlatParameters(network().freeze(["*"]).named_parameters())


def test_flat_tensors_can_be_empty_and_are_views():
    empty = FlatTensors({}, "float32")
    empty.assign(empty.vector.copy())
    assert empty.vector.shape == (0,)
    layer = nn.BatchNorm1d(2)
    flat = FlatTensors(layer.named_buffers(), "float32")
    assert list(flat.split(flat.vector)) == ["running_mean", "running_var"]
    layer(Tensor(np.array([[1.0, 2.0], [3.0, 6.0]], "float32")))
    np.testing.assert_allclose(flat.vector, [0.2, 0.4, 1.1, 1.7], rtol=1e-6)
    with pytest.raises(ValueError, match="types float32 and float64"):
        FlatTensors({"a": Parameter(1.0), "b": Parameter(np.ones(1, "float32"))})


def test_frozen_parameters_take_the_dtype_of_trained_parameters():
    trained, frozen = Parameter(np.ones(2, "float32")), Parameter(np.ones(3))
    frozen.requires_grad = False
    flat = FlatParameters({"w": trained, "v": frozen})
    assert (flat.vector.dtype, flat.frozen.vector.dtype, frozen.dtype) == ("float32",) * 3
