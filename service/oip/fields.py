"""One JSON value checked: each function returns it typed, or raises InvalidInference with place, value and rule."""

import json
from typing import NoReturn

from service.errors import InvalidInference

_SHOWN_CHARACTERS = 60


def as_object(value: object, place: str) -> dict[str, object]:
    """A JSON object."""
    return value if isinstance(value, dict) else _refuse(place, value, "an object")


def as_list(value: object, place: str, low: int, high: int) -> list[object]:
    """A JSON list of low..high elements."""
    if not isinstance(value, list):
        _refuse(place, value, "a list")
    if not low <= len(value) <= high:
        raise InvalidInference(f"{place}: {len(value)} elements, must be {low}..{high}")
    return value


def as_text(value: object, place: str, max_characters: int) -> str:
    """A JSON string that is neither empty nor too long."""
    if not isinstance(value, str) or not 1 <= len(value) <= max_characters:
        _refuse(place, value, f"a string of 1..{max_characters} characters")
    return value


def as_integer(value: object, place: str, low: int, high: int) -> int:
    """A whole number in low..high; true and 4.0 are none."""
    if type(value) is not int or not low <= value <= high:
        _refuse(place, value, f"a whole number in {low}..{high}")
    return value


def as_flag(value: object, place: str) -> bool:
    """true or false."""
    return value if isinstance(value, bool) else _refuse(place, value, "true or false")


def parameters_of(document: dict[str, object], place: str) -> dict[str, object]:
    """The member `parameters`, empty where there is none: strings, numbers and flags; without what is null."""
    given = document.get("parameters")
    parameters = {} if given is None else as_object(given, place)
    parameters = {name: value for name, value in parameters.items() if value is not None}
    for name, value in parameters.items():
        if not isinstance(value, str | int | float):
            _refuse(f"{place}[{show(name)}]", value, "a string, a number, true or false")
    return parameters


def show(value: object) -> str:
    """A value as an error tells it, however large it is."""
    if isinstance(value, str):
        shown = json.dumps(value[:_SHOWN_CHARACTERS])
        return shown if len(value) <= _SHOWN_CHARACTERS else f"{shown}..."
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number beyond 64 bits"
    return json.dumps(value)


def _refuse(place: str, value: object, rule: str) -> NoReturn:
    raise InvalidInference(f"{place} = {show(value)}, must be {rule}")
