"""How exactly dense layers may multiply on a GPU. Apart from the engine: settings are read before numpy is imported."""

PRECISIONS = ("float32", "tf32", "bfloat16")
