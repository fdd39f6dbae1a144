import pytest

from compressor.errors import RecipeError
from compressor.layer_rules import LayerRules, check_rules, parse_rules, render_rules, resolve_rules
from tests.compressor.toys import exactly

LAYERS = ("conv1", "layer1.0.conv1", "layer4.0.conv1", "layer4.1.conv2", "linear")


def test_the_first_pattern_that_matches_gives_the_number() -> None:
    rules: LayerRules = (("first", 0.5), ("last", 0.4), ("layer4.0.*", 0.02), ("layer4.*", 0.03), ("*", 0.1))
    assert resolve_rules(rules, LAYERS) == {
        "conv1": 0.5,
        "layer1.0.conv1": 0.1,
        "layer4.0.conv1": 0.02,
        "layer4.1.conv2": 0.03,
        "linear": 0.4,
    }


def test_an_earlier_star_goes_before_everything_after_it() -> None:
    assert set(resolve_rules((("*", 0.1), ("first", 0.5)), LAYERS).values()) == {0.1}


def test_first_and_last_are_places_even_where_a_layer_is_called_that() -> None:
    assert resolve_rules((("last", 0.4), ("first", 0.5), ("*", 0.1)), ("last", "first", "end")) == {
        "last": 0.5,
        "first": 0.1,
        "end": 0.4,
    }


def test_an_only_layer_is_the_first() -> None:
    assert resolve_rules((("last", 0.4), ("first", 0.5), ("*", 0.1)), ("fc",)) == {"fc": 0.5}


def test_patterns_tell_upper_and_lower_case_apart() -> None:
    assert resolve_rules((("Conv*", 0.4), ("*", 0.1)), ("conv1", "Conv2")) == {"conv1": 0.1, "Conv2": 0.4}


def test_a_layer_that_no_rule_matches_is_refused() -> None:
    with pytest.raises(RecipeError, match=exactly("layer 'linear': no rule matches, must end with a rule for '*'")):
        resolve_rules((("conv*", 0.5), ("layer*", 0.1)), LAYERS)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_rules_within_their_range_pass(value: float) -> None:
    check_rules("density", (("first", 1.0), ("*", value)), 0.0, 1.0)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ((("first", 1.5), ("*", 0.1)), "density: first = 1.5, must be in 0.0..1.0"),
        ((("*", -0.1),), "density: * = -0.1, must be in 0.0..1.0"),
        ((("*", float("nan")),), "density: * = nan, must be in 0.0..1.0"),
        ((), "density: (), must end with a rule for '*'"),
        ((("*", 0.1), ("first", 0.5)), "density: (('*', 0.1), ('first', 0.5)), must end with a rule for '*'"),
    ],
)
def test_rules_outside_their_range_or_without_an_end_are_refused(rules: LayerRules, message: str) -> None:
    with pytest.raises(RecipeError, match=exactly(message)):
        check_rules("density", rules, 0.0, 1.0)


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("0.1", (("*", 0.1),)),
        ("first=0.5,layer4.*=0.02,*=0.1", (("first", 0.5), ("layer4.*", 0.02), ("*", 0.1))),
        (" first = 0.5 , 1e-2 ", (("first", 0.5), ("*", 0.01))),
    ],
)
def test_rules_are_read_from_text(text: str, rules: LayerRules) -> None:
    assert parse_rules(text) == rules


@pytest.mark.parametrize(("text", "part"), [("", ""), ("first", "first"), ("first=", "first="), ("0.1,x=y", "x=y")])
def test_text_that_is_no_rule_is_refused(text: str, part: str) -> None:
    with pytest.raises(RecipeError, match=exactly(f"rule {part!r}, must be a number or pattern=number")):
        parse_rules(text)


def test_rules_are_rendered_as_they_are_parsed() -> None:
    rules = (("conv1", 0.5), ("layer4.*", 0.020001), ("*", 1.0))
    assert render_rules(rules) == "conv1=0.5,layer4.*=0.020001,*=1.0"
    assert parse_rules(render_rules(rules)) == rules
