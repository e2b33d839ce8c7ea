"""Initializers: statistics of the weights, and selection by name."""

import numpy as np
import pytest

from minitrain import nn
from minitrain.nn.init import initial
from minitrain.registry import REGISTRIES

# name -> variance of a weight of shape [400, 100, 3], with 300 connections in and 1200 out
VARIANCES = {
    "pytorch": 1 / 300 / 3,
    "uniform": 1 / 3,
    "normal": 1.0,
    "xavier_uniform": 2 / 1500,
    "xavier_normal": 2 / 1500,
    "he_uniform": 2 / 300,
    "he_normal": 2 / 300,
    "lecun_normal": 1 / 300,
    "orthogonal": 1 / 400,
    "zeros": 0.0,
}


def test_every_initializer_is_tested():
    assert set(VARIANCES) == set(REGISTRIES["init"])


@pytest.mark.parametrize("name", VARIANCES)
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_mean_variance_and_distribution(name, scale):
    weight, bias = initial((400, 100, 3), True, rng=0, init=name, scale=scale)
    w, deviation = weight.numpy(), scale * np.sqrt(VARIANCES[name])
    assert w.shape == (400, 100, 3)
    assert w.flags.c_contiguous
    assert abs(w.mean()) <= 4 * deviation / np.sqrt(w.size)
    np.testing.assert_allclose(w.std(), deviation, rtol=0.01)
    # The largest of 120,000 normal numbers is above 4 deviations; a uniform one never above √3.
    if name.endswith("uniform") or name == "pytorch":
        assert abs(w).max() <= deviation * np.sqrt(3)
    elif name != "zeros":
        assert abs(w).max() > 4 * deviation
    assert (bias.numpy() != 0).all() == (name == "pytorch")
    assert initial((4, 2), False, rng=0, init=name)[1] is None


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 2, 3, 3)])
def test_orthogonal_rows_or_columns(shape):
    w = REGISTRIES["init"]["orthogonal"](shape, np.random.default_rng(0)).reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-13)


def test_orthogonal_matrices_are_uniform_up_to_sign():
    # Without the signs of R's diagonal, LAPACK's Q has entries [0, 0] of one sign.
    corners = [REGISTRIES["init"]["orthogonal"]((3, 3), np.random.default_rng(seed))[0, 0] for seed in range(200)]
    assert 70 <= np.sum(np.array(corners) > 0) <= 130


@pytest.mark.parametrize("name", sorted(VARIANCES))
def test_layers_use_the_initializer_of_a_name_and_their_generator(name):
    def weights(rng):
        layers = [
            nn.Linear(3, 4, rng=rng, init=name, init_scale=2.0),
            nn.Conv2d(3, 4, 2, rng=rng, init=name, init_scale=2.0),
        ]
        return [layer.weight.numpy() for layer in layers]

    for w, again, other in zip(weights(0), weights(0), weights(1), strict=True):
        assert (w == 2 * REGISTRIES["init"][name](w.shape, np.random.default_rng(0))).all()
        assert (w == again).all()
        assert (w != other).any() == (name != "zeros")
