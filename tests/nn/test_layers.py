"""Layers against PyTorch in training and evaluation mode, randomness, and errors."""

import numpy as np
import pytest

from minitrain import Tensor, check_grads, nn
from minitrain import functional as F

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(4, 3, 6, 5))
LENGTHS = RNG.normal(size=(4, 3, 7))
ROWS = RNG.normal(size=(5, 3))


def away_from_corners(x):
    """Inputs at which piecewise functions are smooth: no nearer than 0.05 to -3, -1, 0, 1 and 3."""
    corners = np.array([-3.0, -1.0, 0.0, 1.0, 3.0])
    near = np.abs(x[..., None] - corners) < 0.05
    return x + 0.1 * near.any(-1)


# name -> (ours, PyTorch's constructor, input)
PAIRS = {
    "linear": (lambda: nn.Linear(3, 4, rng=0), lambda t: t.Linear(3, 4), ROWS),
    "linear without bias": (lambda: nn.Linear(3, 4, bias=False, rng=0), lambda t: t.Linear(3, 4, bias=False), ROWS),
    "conv1d": (lambda: nn.Conv1d(3, 4, 3, rng=0), lambda t: t.Conv1d(3, 4, 3), LENGTHS),
    "conv1d stride padding": (
        lambda: nn.Conv1d(3, 2, 3, stride=2, padding=2, bias=False, rng=0),
        lambda t: t.Conv1d(3, 2, 3, stride=2, padding=2, bias=False),
        LENGTHS,
    ),
    "conv2d": (lambda: nn.Conv2d(3, 4, 2, rng=0), lambda t: t.Conv2d(3, 4, 2), IMAGES),
    "conv2d stride padding": (
        lambda: nn.Conv2d(3, 2, 3, stride=2, padding=1, rng=0),
        lambda t: t.Conv2d(3, 2, 3, stride=2, padding=1),
        IMAGES,
    ),
    "conv2d oblong": (
        lambda: nn.Conv2d(3, 2, (3, 2), stride=(1, 2), padding=(0, 1), rng=0),
        lambda t: t.Conv2d(3, 2, (3, 2), stride=(1, 2), padding=(0, 1)),
        IMAGES,
    ),
    "max_pool1d": (lambda: nn.MaxPool1d(2), lambda t: t.MaxPool1d(2), LENGTHS),
    "max_pool2d": (lambda: nn.MaxPool2d(3, 1, 1), lambda t: t.MaxPool2d(3, 1, 1), IMAGES),
    "avg_pool1d": (lambda: nn.AvgPool1d(3, 2), lambda t: t.AvgPool1d(3, 2), LENGTHS),
    "avg_pool2d": (lambda: nn.AvgPool2d(2), lambda t: t.AvgPool2d(2), IMAGES),
    "batch_norm1d": (lambda: nn.BatchNorm1d(3), lambda t: t.BatchNorm1d(3), ROWS),
    "batch_norm1d lengths": (lambda: nn.BatchNorm1d(3, 1e-3, 0.3), lambda t: t.BatchNorm1d(3, 1e-3, 0.3), LENGTHS),
    "batch_norm2d": (lambda: nn.BatchNorm2d(3), lambda t: t.BatchNorm2d(3), IMAGES),
    "layer_norm": (lambda: nn.LayerNorm(3), lambda t: t.LayerNorm(3), ROWS),
    "layer_norm axes": (lambda: nn.LayerNorm((6, 5), 1e-3), lambda t: t.LayerNorm((6, 5), 1e-3), IMAGES),
    "layer_norm no bias": (lambda: nn.LayerNorm(5, bias=False), lambda t: t.LayerNorm(5, bias=False), IMAGES),
    "flatten": (nn.Flatten, lambda t: t.Flatten(), IMAGES),
    "reshape": (lambda: nn.Reshape(5, 6, 3), lambda t: t.Unflatten(1, (5, 6, 3)), IMAGES.reshape(4, -1)),
    "elu": (nn.ELU, lambda t: t.ELU(), ROWS),
    "gelu": (nn.GELU, lambda t: t.GELU(), ROWS),
    "hardswish": (nn.Hardswish, lambda t: t.Hardswish(), ROWS),
    "hardtanh": (nn.Hardtanh, lambda t: t.Hardtanh(), ROWS),
    "identity": (nn.Identity, lambda t: t.Identity(), ROWS),
    "leaky_relu": (nn.LeakyReLU, lambda t: t.LeakyReLU(), ROWS),
    "logsigmoid": (nn.LogSigmoid, lambda t: t.LogSigmoid(), ROWS),
    "mish": (nn.Mish, lambda t: t.Mish(), ROWS),
    "relu": (nn.ReLU, lambda t: t.ReLU(), ROWS),
    "selu": (nn.SELU, lambda t: t.SELU(), ROWS),
    "sigmoid": (nn.Sigmoid, lambda t: t.Sigmoid(), ROWS),
    "silu": (nn.SiLU, lambda t: t.SiLU(), ROWS),
    "softplus": (nn.Softplus, lambda t: t.Softplus(), ROWS),
    "tanh": (nn.Tanh, lambda t: t.Tanh(), ROWS),
    "dropout in evaluation": (lambda: nn.Dropout(0.5, rng=0), lambda t: t.Dropout(0.5), ROWS),
    "sequential": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 2, 3, rng=0), nn.BatchNorm2d(2), nn.SiLU(), nn.Flatten(), nn.Linear(24, 2, rng=1)
        ),
        lambda t: t.Sequential(t.Conv2d(3, 2, 3), t.BatchNorm2d(2), t.SiLU(), t.Flatten(), t.Linear(24, 2)),
        IMAGES,
    ),
}  # fmt: skip


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", PAIRS)
def test_values_gradients_and_buffers_match_pytorch(name, training):
    torch = pytest.importorskip("torch")
    ours, theirs, x = PAIRS[name]
    ours, theirs, x = ours(), theirs(torch.nn).double(), away_from_corners(x)
    if "evaluation" in name:
        training = False
    state = {key: RNG.uniform(0.5, 1.5, value.shape) for key, value in ours.state_dict().items()}
    ours.load_state_dict(state)
    theirs.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
    (ours.train if training else ours.eval)()
    theirs.train(training)
    for _ in range(2):  # the second iteration begins with the buffers of the first
        a, b = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        out, expected = ours(a), theirs(b)
        np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-12)
        weights = RNG.uniform(0.5, 1.5, out.shape)
        theirs.zero_grad()
        for p in ours.parameters():
            p.zero_grad()
        (out * weights).sum().backward()
        (expected * torch.tensor(weights)).sum().backward()
        np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=1e-9, atol=1e-11)
        for key, p in theirs.named_parameters():
            np.testing.assert_allclose(ours.named_parameters()[key].grad, p.grad.numpy(), rtol=1e-9, atol=1e-11)
        for key, value in ours.named_buffers().items():
            np.testing.assert_allclose(value.numpy(), theirs.state_dict()[key].numpy(), rtol=1e-12)
        x = x[::-1].copy()


def test_every_layer_and_activation_is_compared_with_pytorch():
    compared = {type(ours()) for ours, _, _ in PAIRS.values()}
    layers = {value for value in vars(nn).values() if isinstance(value, type) and issubclass(value, nn.Module)}
    # ScaledLinear, Embedding and Residual have their own tests below; the last two are no layers.
    assert layers - compared == {nn.ScaledLinear, nn.Embedding, nn.Residual, nn.Module, nn.Activation}


@pytest.mark.parametrize("bias", [True, False])
def test_scaled_linear_equals_linear_with_multiplied_parameters(bias):
    scaled = nn.ScaledLinear(3, 4, bias, rng=0, multiplier=0.25, bias_multiplier=8.0)
    factors = {"weight": 0.25, "bias": 8.0}
    state = {key: factors[key] * value for key, value in scaled.state_dict().items()}
    plain = nn.Linear(3, 4, bias, rng=1).load_state_dict(state)
    outputs = [layer(Tensor(ROWS)) for layer in (scaled, plain)]
    np.testing.assert_allclose(outputs[0].numpy(), outputs[1].numpy(), rtol=1e-12)
    for out in outputs:
        (out * out).sum().backward()
    for key, p in plain.named_parameters().items():
        np.testing.assert_allclose(scaled.named_parameters()[key].grad, factors[key] * p.grad, rtol=1e-12)


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (nn.LayerNorm(3), ROWS[:2]),
        (nn.BatchNorm1d(3), ROWS),
        (nn.BatchNorm2d(2), IMAGES[:2, :2, :2, :2]),
        (nn.BatchNorm1d(3).eval(), ROWS),
        (nn.Conv1d(3, 2, 3, padding=1, rng=0), LENGTHS[:1, :, :4]),
        (nn.Conv2d(2, 2, 2, rng=0), IMAGES[:1, :2, :3, :3]),
        (nn.Sequential(nn.AvgPool2d(2), nn.Residual(nn.Tanh())), IMAGES[:1, :1, :4, :4]),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_derivatives_to_order_2_and_dtypes(layer, x, dtype):
    assert layer.astype(dtype)(Tensor(x.astype(dtype))).dtype == dtype
    assert {b.dtype.name for b in layer.named_buffers().values()} <= {dtype}
    if dtype == "float64":
        check_grads(layer, x)


def test_embedding_matches_pytorch_and_accumulates_repeated_rows():
    torch = pytest.importorskip("torch")
    ours, theirs = nn.Embedding(5, 3, rng=0), torch.nn.Embedding(5, 3).double()
    theirs.load_state_dict({key: torch.tensor(value) for key, value in ours.state_dict().items()})
    ids = np.array([[0, 3], [3, 4]])
    out, expected = ours(ids), theirs(torch.tensor(ids))
    assert (out.numpy() == expected.detach().numpy()).all()
    out.sum().backward()
    assert ours.weight.grad[:, 0].tolist() == [1, 0, 0, 2, 1]
    with pytest.raises(IndexError, match="5 is out of range"):
        ours([5])


def test_residual_adds_its_input():
    x, inner = Tensor(ROWS), nn.Linear(3, 3, rng=0)
    assert (nn.Residual(inner)(x).numpy() == (x + inner(x)).numpy()).all()
    assert list(nn.Residual(inner).named_parameters()) == ["inner.weight", "inner.bias"]
    with pytest.raises(ValueError, match=r"shape \[5, 3\], the inner result \[5, 2\]: expected equal"):
        nn.Residual(nn.Linear(3, 2, rng=0))(x)


# Dropout: randomness


def test_dropout_preserves_the_mean_and_its_gradient_has_the_same_mask():
    layer, x = nn.Dropout(0.3, rng=0), Tensor(np.ones((200, 200)), requires_grad=True)
    out = layer(x)
    assert np.unique(out.numpy()).tolist() == [0, 1 / 0.7]
    assert abs((out.numpy() == 0).mean() - 0.3) < 0.01
    out.sum().backward()
    assert (x.grad == out.numpy()).all()


def masks(net, width=64):
    """The output of each Dropout of a Sequential for ones."""
    return [layer(Tensor(np.ones(width))).numpy() for layer in net.layers if isinstance(layer, nn.Dropout)]


def test_dropout_masks_are_a_function_of_seed_layer_and_step():
    net = nn.Sequential(nn.Dropout(0.5, rng=0), nn.Tanh(), nn.Dropout(0.5, rng=0))
    first, second = masks(net.train(seed=3, step=5))
    assert (first != second).any()
    for seed, step in ((3, 6), (4, 5)):
        assert (masks(net.train(seed, step))[0] != first).any()
    masks(net)
    assert (masks(net.train(seed=3, step=5))[1] == second).all()
    other = nn.Sequential(
        nn.Dropout(0.5, rng=9), nn.Linear(1, 1, rng=0), nn.Dropout(0.5, rng=9), nn.Dropout(0.5, rng=9)
    )
    assert (masks(other.train(seed=3, step=5))[1] == second).all()


def test_without_seed_dropout_draws_from_the_generator_of_the_layer():
    a, b = nn.Dropout(0.5, rng=1), nn.Dropout(0.5, rng=1)
    x = Tensor(np.ones(64))
    drawn = [a(x).numpy(), a.train()(x).numpy()]
    assert (drawn[0] != drawn[1]).any()
    assert all((mask == b(x).numpy()).all() for mask in drawn)


def test_train_and_eval_apply_to_nested_layers():
    net = nn.Sequential(nn.Residual(nn.Sequential(nn.Dropout(0.5, rng=0))), nn.BatchNorm1d(3))
    assert all(m.training for m in net.named_modules().values())
    assert not any(m.training for m in net.eval().named_modules().values())
    assert list(net.named_modules()) == ["", "0", "0.inner", "0.inner.0", "1"]
    assert all(m.training for m in net.train().named_modules().values())


def test_only_training_updates_buffers():
    layer = nn.BatchNorm1d(3).eval()
    layer(Tensor(ROWS))
    assert (layer.running_mean.numpy() == 0).all()
    layer.train()(Tensor(ROWS))
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * ROWS.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.9 + 0.1 * ROWS.var(axis=0, ddof=1), rtol=1e-14)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: nn.BatchNorm1d(3)(Tensor(ROWS[:1])), "BatchNorm1d: one value per channel in training.*larger batch"),
        (lambda: nn.BatchNorm1d(3)(Tensor(IMAGES)), r"BatchNorm1d: input \[4, 3, 6, 5\]: expected \[batch, 3\] or"),
        (lambda: nn.BatchNorm2d(2)(Tensor(IMAGES)), r"expected \[batch, 2, height, width\]"),
        (lambda: nn.BatchNorm2d(0), "features=0: expected at least 1"),
        (lambda: nn.LayerNorm(4)(Tensor(ROWS)), r"LayerNorm: input \[5, 3\]: expected its last sizes to be \[4\]"),
        (lambda: nn.Dropout(1.0, rng=0), "p=1.0: expected at least 0 and below 1"),
        (lambda: nn.Embedding(0, 3, rng=0), "num_embeddings=0"),
        (lambda: nn.Conv2d(3, 0, 3, rng=0), "Conv2d: in_channels=3, out_channels=0"),
        (lambda: nn.Conv2d(3, 2, (3,), rng=0), "kernel_size=.3,.: .* one number or 2"),
        (lambda: nn.Conv2d(2, 4, 3, rng=0)(Tensor(IMAGES)), "conv2d: input"),
        (lambda: nn.Linear(3, 4, rng=0, init="he"), "init=he: expected one of he_normal, he_uniform"),
        (lambda: F.linear(Tensor(IMAGES), nn.Linear(3, 4, rng=0).weight), "in_features=5"),
    ],
)  # fmt: skip
def test_invalid_layers_are_reported_on_one_line(mistake, message):
    with pytest.raises(ValueError, match=message) as error:
        mistake()
    assert "\n" not in str(error.value)


def test_initial_weights_of_linear_are_uniform_and_depend_on_the_seed():
    layer = nn.Linear(100, 50, rng=3)
    w = layer.weight.numpy()
    assert w.shape == (50, 100)
    assert abs(w).max() <= 0.1
    assert abs(w.std() - 0.1 / np.sqrt(3)) < 0.002
    assert (nn.Linear(100, 50, rng=3).weight.numpy() == w).all()
    assert (nn.Linear(100, 50, rng=4).weight.numpy() != w).any()


@pytest.mark.parametrize(
    ("layer", "x", "message"),
    [
        (nn.Linear(3, 2, rng=0), np.ones((4, 5)), r"expected an input of shape \[batch, 3\].*in_features=5"),
        (nn.Linear(3, 2, rng=0), np.ones(()), r"expected an input of shape \[batch, 3\]"),
    ],
)
def test_input_of_the_wrong_shape_is_reported(layer, x, message):
    with pytest.raises(ValueError, match=message):
        layer(Tensor(x))


def test_layer_without_units_is_reported():
    with pytest.raises(ValueError, match="in_features=0"):
        nn.Linear(0, 3, rng=0)
