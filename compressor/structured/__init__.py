"""Structured pruning: whole filters, input channels or columns go, so that the network computes less on any engine."""
