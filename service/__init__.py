"""The online half of csrve: loads bundles from a store and serves them over HTTP."""

__version__ = "0.1.0"  # as in pyproject.toml; a test compares
