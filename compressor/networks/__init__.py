"""The networks by name, and a user's own by `module:callable`."""

from compressor.networks.registry import NETWORKS, build_network, input_shape_of

__all__ = ["NETWORKS", "build_network", "input_shape_of"]
