"""What structured pruning can be told."""

from typing import Any

import pytest

from compressor.errors import RecipeError
from compressor.layer_rules import resolve_rules
from compressor.structured.recipe import BLOCKS, StructuredRecipe
from tests.compressor.toys import exactly

AMISS: list[tuple[dict[str, Any], str]] = [
    ({"method": "slim"}, "structured method 'slim', must be one of l1, nisp, sfp, group-lasso, admm, fcf"),
    ({"kinds": ()}, "kinds (), must be of filters, channels, columns"),
    ({"kinds": ("rows",)}, "kinds ('rows',), must be of filters, channels, columns"),
    ({"method": "fcf", "kinds": ("columns",)}, "kinds ('columns',), must be filters alone for fcf"),
    ({"kept": (("*", 2.0),)}, "kept: * = 2.0, must be in 0.0..1.0"),
    (
        {"kept": (("columns:conv1", 0.5), ("*", 1.0))},
        "kept: columns:conv1, must be for one of the kinds filters",
    ),
    ({"end": 1.0}, "end = 1.0, must be in 0..0.99"),
    ({"refresh_steps": 0}, "refresh_steps = 0, must be at least 1"),
    ({"mixing": 1.5}, "mixing = 1.5, must be in 0..1"),
    (
        {"strength": 7.0},
        "strength = 7.0, growth = 1.01, limit = 6.0, must be 0 < strength <= limit and growth >= 1",
    ),
]


@pytest.mark.parametrize(("changes", "message"), AMISS)
def test_what_is_amiss_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=exactly(message)):
        StructuredRecipe(**changes)


def test_a_kind_has_its_own_rules_and_those_for_all() -> None:
    rules = (("columns:conv1", 0.5), ("filters:conv1", 0.25), ("conv2", 0.75), ("*", 1.0))
    recipe = StructuredRecipe(kinds=("filters", "columns"), kept=rules)
    assert recipe.kept_of("columns") == (("conv1", 0.5), ("conv2", 0.75), ("*", 1.0))
    assert recipe.kept_of("filters") == (("conv1", 0.25), ("conv2", 0.75), ("*", 1.0))


def test_shortcuts_stay_whole_by_our_name_and_by_torchvisions() -> None:
    layers = ["conv1", "layer2.0.conv1", "layer2.0.shortcut.0", "layer2.0.downsample.0", "fc"]
    shares = resolve_rules(BLOCKS, layers)
    assert [shares[layer] for layer in layers] == [1.0, 0.5, 1.0, 1.0, 1.0]
