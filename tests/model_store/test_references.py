import pytest

from model_store.errors import InvalidName
from model_store.references import Reference, parse_reference, parse_selector


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("m", Reference("m")),
        ("m:latest", Reference("m")),
        ("m:7", Reference("m", 7)),
        ("m.n:stable", Reference("m.n", "stable")),
    ],
)
def test_a_reference_is_a_name_and_perhaps_a_version_or_an_alias(text: str, reference: Reference) -> None:
    assert parse_reference(text) == reference
    assert parse_reference(str(reference)) == reference


@pytest.mark.parametrize("text", ["", ":", "m:", ":1", "M:1", "m:0", "m:01", "m:1:2", "m:-1", "../m", "m:a.b", "m: 1"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_reference(text)


def test_a_reference_is_checked_however_it_is_made() -> None:
    for name, selector in (("M", None), ("m", 0), ("m", "A"), ("m", "1x")):
        with pytest.raises(InvalidName):
            Reference(name, selector)


def test_latest_is_no_alias() -> None:
    assert parse_selector("latest") is None
    assert parse_selector("12") == 12
    assert parse_selector("canary") == "canary"
