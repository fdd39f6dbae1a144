"""Dead filters and channels leave the network for good: smaller layers, smaller file, fewer operations."""

from compressor.removal.network import Removed, remove_dead
from compressor.removal.recipe import PurifyRecipe, RemoveRecipe

__all__ = ["PurifyRecipe", "RemoveRecipe", "Removed", "remove_dead"]
