from typing import Any

import pytest

from compressor.errors import RecipeError
from compressor.experiments.targets import ROWS, Row, Target, row_of
from compressor.networks import NETWORKS
from tests.compressor.toys import exactly

RECORD: dict[str, Any] = {"bundle_bytes": 65_000, "dense_bytes": 1_300_000, "accuracy": 0.92}


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target(0.92, size_bytes=65_000), True),
        (Target(0.9201, size_bytes=65_000), False),
        (Target(0.92, size_bytes=64_999), False),
        (Target(0.92, ratio=20), True),
        (Target(0.92, ratio=20.01), False),
        (Target(0.93, ratio=20), False),
    ],
)
def test_a_target_is_met_by_what_is_small_and_accurate_enough(target: Target, met: bool) -> None:
    assert target.met_by(RECORD) is met


def test_a_target_is_written_as_it_is_spoken() -> None:
    assert str(Target(0.92, size_bytes=1_300_000)) == "1,300 kB at 92.0%"
    assert str(Target(0.984, ratio=40)) == "40x at 98.4%"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"accuracy": 0.9}, "target: None bytes, ratio None, must be one of the two"),
        ({"accuracy": 0.9, "size_bytes": 1, "ratio": 2.0}, "target: 1 bytes, ratio 2.0, must be one of the two"),
        ({"accuracy": 92.0, "size_bytes": 1}, "target: accuracy 92.0, must be in 0..1"),
    ],
)
def test_what_is_no_target_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=exactly(message)):
        Target(**fields)


@pytest.mark.parametrize("targets", [{}, {"hopes": Target(0.9, ratio=2)}])
def test_a_row_without_known_tiers_is_refused(targets: dict[str, Target]) -> None:
    with pytest.raises(RecipeError, match="^row lenet5: tiers "):
        Row("lenet5", "LeNet-5", targets)


def test_every_row_is_of_a_network_of_ours_and_a_higher_tier_is_smaller() -> None:
    assert {row.network for row in ROWS} <= NETWORKS.keys()
    for row in ROWS:
        sizes = [target.size_bytes or 1 / (target.ratio or 0) for target in row.targets.values()]
        assert sizes == sorted(sizes, reverse=True)
        assert row_of(row.network) is row


def test_a_network_without_targets_is_refused_by_name() -> None:
    with pytest.raises(RecipeError, match="^network 'resnet32': has no targets, must be one of lenet300, "):
        row_of("resnet32")
