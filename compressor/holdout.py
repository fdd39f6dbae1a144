"""Whether the pictures that a run chooses by are new to the network that it began with."""

from collections.abc import Mapping
from typing import Any

BEGAN_WITH = "began_with"  # in what a card says of a training that started from weights


def holdout_doubt(training: Mapping[str, Any], digest: str, holdout: int, seed: int) -> str | None:
    """Why the network may have learnt pictures of the holdout, in a few words; None where its training set them aside.

    Args:
        training: what the network's card says; empty where the weights came from elsewhere.
        digest: of the pictures of train, before the split: it draws positions, so their order counts.
        holdout, seed: how many are set aside now, and what draws them.
    """
    if "recipe" not in training:
        return "nothing says what the network was trained on"
    if training.get("data") != digest:
        return "the network was trained on other pictures, or on these in another order"
    before = training["recipe"]
    if before.get("seed") != seed or before.get("holdout", 0) < holdout:
        return (
            f"the network's training set {before.get('holdout', 0)} pictures aside by seed {before.get('seed')}, "
            f"and now there are {holdout} by seed {seed}"
        )
    doubt = training.get(BEGAN_WITH, {}).get("holdout_doubt")
    return str(doubt) if doubt is not None else None


def warning_of(doubt: str) -> str:
    """A line for who runs it."""
    return f"holdout: {doubt}; accuracies on it may be too high"
