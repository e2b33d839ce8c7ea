"""Modules, layers, activations and initializers.

May import autograd and the loose modules.
"""

from minitrain.nn import init
from minitrain.nn.activation import (
    ELU,
    GELU,
    SELU,
    Activation,
    Hardswish,
    Hardtanh,
    Identity,
    LeakyReLU,
    LogSigmoid,
    Mish,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from minitrain.nn.convolution import AvgPool1d, AvgPool2d, Conv1d, Conv2d, MaxPool1d, MaxPool2d
from minitrain.nn.layers import Dropout, Embedding, Flatten, Linear, Reshape, Residual, ScaledLinear, Sequential
from minitrain.nn.module import Buffer, Module
from minitrain.nn.normalization import BatchNorm1d, BatchNorm2d, LayerNorm

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "Activation",
    "AvgPool1d",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Buffer",
    "Conv1d",
    "Conv2d",
    "Dropout",
    "Embedding",
    "Flatten",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "MaxPool1d",
    "MaxPool2d",
    "Mish",
    "Module",
    "ReLU",
    "Reshape",
    "Residual",
    "ScaledLinear",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Tanh",
    "init",
]
