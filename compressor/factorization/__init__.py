"""Low rank: a layer becomes two or three smaller ones whose product it is, by truncated SVD or Tucker-2."""
