"""Groups of a weight: their norms, how they spread, which stay."""

import pytest
import torch

from compressor.structured.groups import best_groups, group_count, group_norms, kept_count, spread

KERNEL = torch.arange(24, dtype=torch.float32).reshape(2, 3, 2, 2)
MATRIX = torch.tensor([[3.0, 0.0], [4.0, -2.0]])


@pytest.mark.parametrize(("kind", "count"), [("filters", 2), ("channels", 3), ("columns", 12)])
def test_every_weight_is_in_one_group(kind: str, count: int) -> None:
    norms = group_norms(KERNEL, kind)
    assert len(norms) == group_count(KERNEL, kind) == count
    assert torch.allclose(norms.square().sum(), KERNEL.square().sum())


def test_norms_are_those_of_rows_inputs_and_columns() -> None:
    assert group_norms(MATRIX, "filters").tolist() == pytest.approx([3.0, 20.0**0.5])
    assert group_norms(MATRIX, "filters", 1.0).tolist() == [3.0, 6.0]
    assert group_norms(MATRIX, "channels").tolist() == [5.0, 2.0]
    assert group_norms(KERNEL, "columns")[5] == pytest.approx(float(KERNEL[:, 1, 0, 1].norm()))


@pytest.mark.parametrize("kind", ["filters", "channels", "columns"])
def test_one_value_a_group_reaches_the_group_s_weights_only(kind: str) -> None:
    groups = torch.zeros(group_count(KERNEL, kind))
    groups[1] = 1
    kept = KERNEL * spread(groups, KERNEL, kind)
    expected = torch.zeros_like(groups)
    expected[1] = group_norms(KERNEL, kind)[1]
    assert torch.allclose(group_norms(kept, kind), expected)


def test_the_largest_stay_and_of_equals_the_first() -> None:
    assert best_groups(torch.tensor([1.0, 3.0, 1.0, 2.0]), 3).tolist() == [True, True, False, True]


@pytest.mark.parametrize(("count", "share", "kept"), [(16, 0.5, 8), (10, 0.57, 5), (10, 0.3, 3), (64, 0.0, 1)])
def test_a_share_is_rounded_down_and_something_always_stays(count: int, share: float, kept: int) -> None:
    assert kept_count(count, share) == kept
