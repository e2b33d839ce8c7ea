"""Activation layers and their functions."""

import pytest

from minitrain import Tensor
from minitrain import functional as F
from minitrain.registry import REGISTRIES


@pytest.mark.parametrize("name", sorted(REGISTRIES["activation"]))
def test_activation_layers_equal_the_functions_of_their_name(name):
    x = Tensor([-2.0, 0.5, 3.0])
    layer = REGISTRIES["activation"][name]()
    assert (layer(x).numpy() == getattr(F, name)(x).numpy()).all()
    assert layer.parameters() == []
