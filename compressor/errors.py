"""The errors of the compressor.

CompressorError
├── DataError           a data set that cannot be read or does not fit the network
├── CheckpointError     weights or training state that cannot be loaded
├── NetworkError        an unknown network, or one that cannot be traced into a graph
└── RecipeError         a hyper-parameter outside its range
"""


class CompressorError(Exception):
    """Anything that the compressor refuses or cannot do."""


class DataError(CompressorError):
    """A data set that cannot be read or does not fit the network."""


class CheckpointError(CompressorError):
    """Weights or training state that cannot be loaded."""


class NetworkError(CompressorError):
    """An unknown network, or one that cannot be traced into a graph."""


class RecipeError(CompressorError):
    """A hyper-parameter outside its range."""
