"""Pruning: which weights may go, which go first, and how the rest is trained meanwhile."""
