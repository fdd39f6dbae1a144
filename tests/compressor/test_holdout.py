"""Whether the holdout is new to a network, as its card tells."""

import pytest

from compressor.holdout import BEGAN_WITH, holdout_doubt, warning_of

TRAINING = {"data": "ab", "recipe": {"holdout": 2000, "seed": 3}}
OTHERS = "the network was trained on other pictures, or on these in another order"
ASIDE = "the network's training set 2000 pictures aside by seed 3, and now there are "


@pytest.mark.parametrize("holdout", [1, 2000])
def test_what_training_set_aside_is_new(holdout: int) -> None:
    assert holdout_doubt(TRAINING, "ab", holdout, 3) is None
    assert holdout_doubt(TRAINING | {BEGAN_WITH: {"holdout_doubt": None}}, "ab", holdout, 3) is None


def test_all_else_may_be_learnt() -> None:
    assert holdout_doubt({}, "ab", 2000, 3) == "nothing says what the network was trained on"
    assert holdout_doubt({"data": "ab"}, "ab", 2000, 3) == "nothing says what the network was trained on"
    assert holdout_doubt(TRAINING, "cd", 2000, 3) == OTHERS
    assert holdout_doubt(TRAINING, "ab", 2001, 3) == f"{ASIDE}2001 by seed 3"
    assert holdout_doubt(TRAINING, "ab", 2000, 4) == f"{ASIDE}2000 by seed 4"
    assert holdout_doubt(TRAINING | {BEGAN_WITH: {"holdout_doubt": OTHERS}}, "ab", 2000, 3) == OTHERS


def test_the_warning_says_what_follows() -> None:
    assert warning_of(OTHERS) == f"holdout: {OTHERS}; accuracies on it may be too high"
