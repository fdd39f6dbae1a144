"""From a torch module to the graph of a bundle, and back to a torch callable that checks the engines."""

from compressor.tracing.oracle import Oracle
from compressor.tracing.trace import TracedNetwork, trace_network

__all__ = ["Oracle", "TracedNetwork", "trace_network"]
