"""Layers, networks and losses."""

from minitrain.nn import init, losses, networks
from minitrain.nn.activation import Activation, Identity, ReLU, Sigmoid, SiLU, Tanh
from minitrain.nn.layers import Dropout, Embedding, Flatten, Linear, Reshape, Residual, Sequential
from minitrain.nn.module import Buffer, Module
from minitrain.nn.normalization import BatchNorm1d, BatchNorm2d, LayerNorm

__all__ = [
    "Activation",
    "BatchNorm1d",
    "BatchNorm2d",
    "Buffer",
    "Dropout",
    "Embedding",
    "Flatten",
    "Identity",
    "LayerNorm",
    "Linear",
    "Module",
    "ReLU",
    "Reshape",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Tanh",
    "init",
    "losses",
    "networks",
]
