"""Networks, layers of networks and losses by their names in a config. Imports nn, data and autograd."""

from minitrain.components import layers, losses, networks, sequential

__all__ = ["layers", "losses", "networks", "sequential"]
