"""One number for every layer, said by patterns: `(("first", 0.5), ("layer4.*", 0.02), ("*", 0.1))`."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from compressor.errors import RecipeError

LayerRules = tuple[tuple[str, float], ...]
FIRST, LAST = "first", "last"  # the stem and the classifier, whatever they are called


def resolve_rules(rules: LayerRules, layers: Sequence[str]) -> dict[str, float]:
    """The number of each layer, by the first pattern that matches its name (or place: `first`, `last`).

    Raises:
        RecipeError: no pattern matches a layer.
    """
    return {layer: _first_match(rules, layer, _place(index, len(layers))) for index, layer in enumerate(layers)}


def check_rules(name: str, rules: LayerRules, low: float, high: float) -> None:
    """Refuse rules with a number outside low..high, or that leave layers without any."""
    for pattern, value in rules:
        if not low <= value <= high:
            raise RecipeError(f"{name}: {pattern} = {value}, must be in {low}..{high}")
    if not rules or rules[-1][0] != "*":
        raise RecipeError(f"{name}: {rules}, must end with a rule for '*'")


def parse_rules(text: str) -> LayerRules:
    """Read `0.1` or `first=0.5,layer4.*=0.02,*=0.1`.

    Raises:
        RecipeError: the text is neither.
    """
    rules = []
    for part in text.split(","):
        pattern, equals, value = part.rpartition("=")
        try:
            rules.append((pattern.strip() if equals else "*", float(value)))
        except ValueError as error:
            raise RecipeError(f"rule {part!r}, must be a number or pattern=number") from error
    return tuple(rules)


def render_rules(rules: LayerRules) -> str:
    """The text that `parse_rules` reads."""
    return ",".join(f"{pattern}={value!r}" for pattern, value in rules)


def _place(index: int, count: int) -> str:
    return FIRST if index == 0 else LAST if index == count - 1 else ""


def _first_match(rules: LayerRules, layer: str, place: str) -> float:
    for pattern, value in rules:
        if pattern == place or (pattern not in (FIRST, LAST) and fnmatchcase(layer, pattern)):
            return value
    raise RecipeError(f"layer {layer!r}: no rule matches, must end with a rule for '*'")
