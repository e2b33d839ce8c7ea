"""Networks and losses by their names in a config. Imports nn, data and autograd."""

from minitrain.components import losses, networks, sequential

__all__ = ["losses", "networks", "sequential"]
