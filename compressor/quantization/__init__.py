"""Weights of two or three values a layer, trained straight through: binary, TWN, TTQ."""
