"""Layers, networks and losses."""

from minitrain.nn import losses, networks
from minitrain.nn.activation import Activation, Identity, ReLU, Sigmoid, SiLU, Tanh
from minitrain.nn.layers import Linear, Sequential
from minitrain.nn.module import Module

__all__ = [
    "Activation",
    "Identity",
    "Linear",
    "Module",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Tanh",
    "losses",
    "networks",
]
