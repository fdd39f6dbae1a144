"""Training: recipes, the loop, moving average, evaluation, resumable checkpoints."""
