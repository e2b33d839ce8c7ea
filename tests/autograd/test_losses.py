"""Losses: values and gradients compared with PyTorch, extreme points, and invalid arguments."""

import math
import warnings

import numpy as np
import pytest

from minitrain import Parameter, Tensor, check_grads, grad
from minitrain import functional as F

RNG = np.random.default_rng(0)
SCORES = RNG.normal(scale=3, size=(6, 4))
CLASSES = np.array([0, 3, 1, 1, 2, 0])
ROWS = RNG.dirichlet(np.ones(4), size=6)
SPARSE = np.eye(4)[CLASSES] * 0.75 + np.eye(4)[CLASSES[::-1]] * 0.25
LOG_ROWS = np.log(RNG.dirichlet(np.ones(4), size=6))
NUMBERS = RNG.normal(scale=2, size=(6, 4))
SHARES = RNG.uniform(size=(6, 4))
WEIGHTS = np.array([0.5, 2.0, 1.25, 0.0])
SIGNS = np.sign(NUMBERS)

# loss, its name in torch.nn.functional, the point, the target, options
CASES = {
    "cross_entropy": (F.cross_entropy, "cross_entropy", SCORES, CLASSES, {}),
    "cross_entropy, smoothed": (F.cross_entropy, "cross_entropy", SCORES, CLASSES, {"label_smoothing": 0.1}),
    "cross_entropy, all smoothing": (F.cross_entropy, "cross_entropy", SCORES, CLASSES, {"label_smoothing": 1.0}),
    "cross_entropy, rows": (F.cross_entropy, "cross_entropy", SCORES, ROWS, {}),
    "cross_entropy, rows, smoothed": (F.cross_entropy, "cross_entropy", SCORES, ROWS, {"label_smoothing": 0.3}),
    "cross_entropy, rows with zeros": (F.cross_entropy, "cross_entropy", SCORES, SPARSE, {}),
    "cross_entropy, weighted": (F.cross_entropy, "cross_entropy", SCORES, CLASSES, {"weight": WEIGHTS}),
    "cross_entropy, weighted, smoothed": (
        F.cross_entropy, "cross_entropy", SCORES, CLASSES, {"weight": WEIGHTS, "label_smoothing": 0.1}
    ),
    "cross_entropy, weighted, rows": (
        F.cross_entropy, "cross_entropy", SCORES, ROWS, {"weight": WEIGHTS, "label_smoothing": 0.3}
    ),
    "nll_loss": (F.nll_loss, "nll_loss", LOG_ROWS, CLASSES, {}),
    "multi_margin_loss": (F.multi_margin_loss, "multi_margin_loss", SCORES, CLASSES, {}),
    "binary_cross_entropy": (
        F.binary_cross_entropy_with_logits, "binary_cross_entropy_with_logits", SCORES, SHARES, {}
    ),
    "binary_cross_entropy, classes": (
        F.binary_cross_entropy_with_logits, "binary_cross_entropy_with_logits", SCORES, SHARES.round(), {}
    ),
    "mse_loss": (F.mse_loss, "mse_loss", SCORES, NUMBERS, {}),
    "l1_loss": (F.l1_loss, "l1_loss", SCORES, NUMBERS, {}),
    "huber_loss": (F.huber_loss, "huber_loss", SCORES, NUMBERS, {}),
    "huber_loss, delta": (F.huber_loss, "huber_loss", SCORES, NUMBERS, {"delta": 2.5}),
    "kl_div": (F.kl_div, "kl_div", LOG_ROWS, ROWS, {}),
    "kl_div, zeros": (F.kl_div, "kl_div", LOG_ROWS, SPARSE, {}),
}  # fmt: skip
BOTH = [(name, reduction) for name in CASES for reduction in ("mean", "sum", "none")]
BOTH += [("kl_div", "batchmean"), ("kl_div, zeros", "batchmean")]


def by_torch(loss, x, target, weights):
    """Value, and gradient of the weighted sum of the values."""
    torch = pytest.importorskip("torch")
    point = torch.tensor(x, requires_grad=True)
    value = loss(torch.nn.functional, point, torch.tensor(target))
    (value * torch.tensor(weights(value.shape))).sum().backward()
    return value.detach().numpy(), point.grad.numpy()


def as_torch(options):
    """Options whose arrays are tensors of PyTorch."""
    torch = pytest.importorskip("torch")
    return {name: torch.tensor(value) if isinstance(value, np.ndarray) else value for name, value in options.items()}


def weights(shape):
    return np.random.default_rng(1).uniform(0.5, 1.5, tuple(shape))


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")  # PyTorch's advice to use batchmean
@pytest.mark.parametrize(("name", "reduction"), BOTH)
def test_values_and_gradients_match_pytorch(name, reduction):
    loss, theirs, x, target, options = CASES[name]
    point = Parameter(x)
    value = loss(point, target, reduction=reduction, **options)
    (value * weights(value.shape)).sum().backward()
    expected, gradient = by_torch(
        lambda functional, p, t: getattr(functional, theirs)(p, t, reduction=reduction, **as_torch(options)),
        x,
        target,
        weights,
    )
    assert value.shape == expected.shape
    np.testing.assert_allclose(value.numpy(), expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(point.grad, gradient, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_hinge_loss_matches_the_margin_ranking_loss_of_pytorch(reduction):
    point = Parameter(SCORES)
    value = F.hinge_loss(point, SIGNS, reduction=reduction)
    (value * weights(value.shape)).sum().backward()
    expected, gradient = by_torch(
        lambda functional, p, t: functional.margin_ranking_loss(p, 0 * p.detach(), t, margin=1, reduction=reduction),
        SCORES,
        SIGNS,
        weights,
    )
    np.testing.assert_allclose(value.numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(point.grad, gradient, rtol=1e-9)


OPTIONS = [
    {},
    {"ignore_index": 1},
    {"ignore_index": -100},
    {"weight": np.array([1.0, 2.0, 0.5])},
    {"weight": np.array([1.0, 2.0, 0.5]), "ignore_index": 1},
    {"label_smoothing": 0.1, "ignore_index": 0},
    {"label_smoothing": 0.1, "weight": np.array([1.0, 2.0, 0.5]), "ignore_index": 2},
]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (2, 3, 2, 2), (3,), (0, 3)])
def test_class_losses_of_any_shape_match_pytorch(shape, options, reduction):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    scores, classes = rng.normal(size=shape), rng.integers(0, 3, (*shape[:1], *shape[2:]) if len(shape) > 1 else ())
    if options.get("ignore_index") == -100:
        classes = np.where(rng.random(classes.shape) < 0.3, -100, classes)
    theirs = {k: torch.tensor(v) if k == "weight" else v for k, v in options.items()}
    for name in ("cross_entropy", "nll_loss"):
        if name == "nll_loss" and "label_smoothing" in options:
            continue
        ours_at, theirs_at = Parameter(scores), torch.tensor(scores, requires_grad=True)
        value = getattr(F, name)(ours_at, classes, reduction=reduction, **options)
        expected = getattr(torch.nn.functional, name)(theirs_at, torch.tensor(classes), reduction=reduction, **theirs)
        assert value.shape == tuple(expected.shape)
        np.testing.assert_allclose(value.numpy(), expected.detach().numpy(), rtol=1e-12, atol=1e-12)
        value.sum().backward()
        expected.sum().backward()
        np.testing.assert_allclose(ours_at.grad, theirs_at.grad.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "logit", "loss"), [("float32", 15.0, 3.0590226e-07), ("float64", 40.0, 4.248354255291589e-18)]
)
def test_small_binary_cross_entropies_keep_their_digits(dtype, logit, loss):
    """log(1 + e^-x) and its derivative -1 / (1 + e^x), for the correct class on either side."""
    for target, x in ((1.0, logit), (0.0, -logit)):
        value, gradient = at(lambda p, t=target: F.binary_cross_entropy_with_logits(p, [t]), np.array([x], dtype))
        assert value == pytest.approx(loss, rel=2e-7 if dtype == "float32" else 1e-15)
        assert gradient == pytest.approx([-loss if target else loss], rel=3e-7)


def test_reductions_are_consistent():
    rows = F.cross_entropy(SCORES, CLASSES, reduction="none").numpy()
    assert rows.shape == (6,)
    assert F.cross_entropy(SCORES, CLASSES, reduction="sum").item() == pytest.approx(rows.sum(), rel=1e-14)
    assert F.cross_entropy(SCORES, CLASSES).item() == pytest.approx(rows.mean(), rel=1e-14)
    assert F.nll_loss(F.log_softmax(SCORES), CLASSES, reduction="none").numpy().tolist() == rows.tolist()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_derivatives_to_order_2_against_differences(name, reduction):
    # The points of the kinked ones (l1, huber, multi_margin) are further from a kink than the differences reach.
    loss, _, x, target, options = CASES[name]
    check_grads(lambda p: loss(p, target[:2], reduction=reduction, **options), x[:2])


@pytest.mark.parametrize("loss", [F.mse_loss, F.binary_cross_entropy_with_logits, F.kl_div, F.huber_loss])
def test_gradients_flow_to_the_target(loss):
    check_grads(lambda x, t: loss(x, t), LOG_ROWS[:2], ROWS[:2])


def at(fn, x):
    """Value and gradient at a point; no warning is raised."""
    p = Parameter(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = fn(p)
        value.sum().backward()
    return value.item(), p.grad.tolist()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_confident_wrong_predictions(dtype):
    logits = np.array([[1000.0, 0.0]], dtype)
    assert at(lambda x: F.cross_entropy(x, [1]), logits) == (1000, [[1, -1]])
    assert at(lambda x: F.cross_entropy(x, [[0.0, 1.0]]), logits) == (1000, [[1, -1]])
    binary = F.binary_cross_entropy_with_logits
    assert at(lambda x: binary(x, [0.0]), np.array([1000.0], dtype)) == (1000, [1])
    assert at(lambda x: binary(x, [1.0]), np.array([-1000.0], dtype)) == (1000, [-1])
    assert at(lambda x: binary(x, [1.0]), np.array([1000.0], dtype)) == (0, [0])
    assert at(lambda x: binary(x, [0.0]), np.array([-1000.0], dtype)) == (0, [0])


def test_binary_cross_entropy_is_smooth_at_a_logit_of_0():
    loss = lambda x: F.binary_cross_entropy_with_logits(x, 0.0)  # noqa: E731
    orders = [f(0.0).item() for f in (loss, grad(loss), grad(grad(loss)), grad(grad(grad(loss))))]
    assert orders == pytest.approx([math.log(2), 0.5, 0.25, 0], rel=1e-15)


def test_kinks_have_derivative_0():
    assert at(lambda x: F.l1_loss(x, [2.0]), [2.0]) == (0, [0])
    assert at(lambda x: F.hinge_loss(x, [-1]), [-1.0]) == (0, [0])
    assert at(lambda x: F.multi_margin_loss(x, [0]), [[1.0, 0.0]]) == (0, [[0, 0]])
    assert at(lambda x: F.huber_loss(x, [0.0]), [1.0]) == (0.5, [1])


def test_an_infinite_error_has_the_derivative_delta():
    assert at(lambda x: F.huber_loss(x, [0.0, 0.0], delta=2.0), [math.inf, -math.inf]) == (math.inf, [1, -1])
    assert math.isnan(F.huber_loss([math.nan], [0.0]).item())


def test_a_probability_of_0_contributes_nothing_for_a_logarithm_of_minus_infinity():
    assert at(lambda x: F.kl_div(x, [0.0, 1.0], reduction="sum"), [-math.inf, 0.0]) == (0, [0, -1])
    assert at(lambda x: F.cross_entropy(x, [[0.0, 1.0]]), [[-math.inf, 0.0]]) == (0, [[0, 0]])
    assert at(lambda x: F.cross_entropy(x, [1]), [[-math.inf, 0.0]]) == (0, [[0, 0]])
    assert F.kl_div([-math.inf, 0.0], [0.5, 0.5]).item() == math.inf


@pytest.mark.parametrize("name", CASES)
def test_losses_keep_float32_for_any_target(name):
    loss, _, x, target, options = CASES[name]
    for converted in (target, Tensor(target)):
        point = Parameter(x.astype("float32"))
        value = loss(point, converted, **options)
        value.backward()
        assert (value.dtype, point.grad.dtype) == ("float32", "float32")


def test_losses_accept_integers():
    assert F.mse_loss([1, 3], [0.5, 2.5]).item() == 0.25
    assert F.hinge_loss([0, 3], [1, 1]).item() == 0.5
    assert F.cross_entropy([[0, 0]], [1]).item() == math.log(2)


def test_accuracy():
    assert F.accuracy([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]], [0, 1, 1]).item() == pytest.approx(2 / 3)
    assert F.accuracy(Tensor([[2.0], [-1.0], [0.0], [-3.0]]), np.array([1, 0, 0, 1])).item() == 0.75
    assert F.accuracy([[0.5]], [1]).item() == 1.0


ELEMENTWISE = {
    "binary_cross_entropy_with_logits": F.binary_cross_entropy_with_logits,
    "hinge_loss": F.hinge_loss,
    "mse_loss": F.mse_loss,
    "l1_loss": F.l1_loss,
    "huber_loss": F.huber_loss,
    "kl_div": F.kl_div,
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_column_and_row_are_not_broadcast(name):
    with pytest.raises(ValueError, match=rf"{name}: \w+ \[3, 1\], target \[3\]: expected equal shapes"):
        ELEMENTWISE[name](np.ones((3, 1)), np.ones(3))


@pytest.mark.parametrize("name", [*ELEMENTWISE, "cross_entropy", "nll_loss", "multi_margin_loss"])
def test_unknown_reduction_is_rejected(name):
    target = np.ones((2, 2)) if name in ELEMENTWISE else np.array([0, 1])
    with pytest.raises(ValueError, match=f"{name}: reduction='max': expected one of mean, sum, none"):
        getattr(F, name)(np.ones((2, 2)), target, reduction="max")


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss, F.multi_margin_loss])
@pytest.mark.parametrize(
    ("scores", "target", "message"),
    [
        (np.ones((3, 2)), np.array([0, 1]), r"\[3, 2\], target int64 \[2\]: .* one integer class per row"),
        (np.ones((3, 2)), np.array([0.0, 1.0, 1.0]), "target float64 .* one integer class per row"),
        (np.ones(2), np.array([0, 1]), "one integer class per row"),
        (np.ones((3, 2)), np.array([0, 1, 2]), "classes from 0 to 2, and 2 scores per row: expected classes 0 to 1"),
        (np.ones((3, 2)), np.array([0, -1, 1]), "classes from -1 to 1, and 2 scores"),
    ],
)
def test_targets_that_are_not_classes_are_rejected(loss, scores, target, message):
    with pytest.raises(ValueError, match=f"{loss.__name__}: .*{message}"):
        loss(scores, target)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: F.cross_entropy(np.ones((3, 2)), np.ones((3, 1))),
            r"target float64 \[3, 1\].* a probability per logit",
        ),
        (lambda: F.cross_entropy(np.ones(3), np.ones(2)), "a probability per logit"),
        (
            lambda: F.cross_entropy(np.ones((2, 3)), np.ones((2, 3)), ignore_index=0),
            "ignore_index=0 with probabilities",
        ),
        (lambda: F.cross_entropy(np.ones((2, 3)), [0, 1], weight=[1.0, 2.0]), r"cross_entropy: weight \[2\]"),
        (lambda: F.nll_loss(np.ones((2, 3)), [0, 1], weight=[1.0, 2.0]), r"nll_loss: weight \[2\]"),
        (lambda: F.cross_entropy(np.ones((2, 3, 4)), np.zeros((2, 3), int)), r"per row of scores, \[2, 4\]"),
        (lambda: F.cross_entropy(1.0, 0), "cross_entropy: a scalar given"),
        (lambda: F.cross_entropy(np.ones((2, 3)), [0, 5], ignore_index=1), "classes from 0 to 5"),
        (lambda: F.cross_entropy(SCORES, CLASSES, label_smoothing=1.5), "label_smoothing=1.5: expected 0 to 1"),
        (lambda: F.binary_cross_entropy_with_logits([1.0, 1.0], [-1.0, 1.0]), "target from -1 to 1: .* 0 to 1"),
        (lambda: F.binary_cross_entropy_with_logits([1.0], [1.5]), "target from 1.5 to 1.5"),
        (lambda: F.hinge_loss([1.0, 1.0], [0, 1]), r"labels -1 and 1; .* 2 \* classes - 1"),
        (lambda: F.huber_loss([1.0], [1.0], delta=0.0), "delta=0.0: expected a number above 0"),
        (lambda: F.kl_div([1.0], [-1.0]), "a negative target"),
        (lambda: F.kl_div([1.0], [1.0], reduction="max"), "mean, sum, none, batchmean"),
        (lambda: F.accuracy(np.ones((3, 2)), np.ones((3, 1))), r"accuracy: logits \[3, 2\], target \[3, 1\]"),
    ],
)
def test_invalid_arguments_have_clear_errors(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
