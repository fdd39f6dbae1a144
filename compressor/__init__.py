"""The offline half of csrve: train, prune, share weights, encode, publish."""
