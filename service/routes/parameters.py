"""Query parameters that several routes share."""

from typing import Annotated

from fastapi import Query

from model_store.errors import InvalidName
from model_store.references import Selector, parse_selector
from service.errors import InvalidQuery

MAX_MODEL_CHARACTERS = 64
MAX_VERSION_CHARACTERS = 32
MAX_TOP_K = 1000
TOP_K = 5  # where nothing is asked for

Version = Annotated[
    str,
    Query(
        max_length=MAX_VERSION_CHARACTERS,
        description="Which version: its number, an alias, or latest.",
        examples=["3", "stable"],
    ),
]


def read_version(version: str) -> Selector:
    """What a version parameter selects.

    Raises:
        InvalidQuery: it can be neither a version's number nor an alias.
    """
    try:
        return parse_selector(version)
    except InvalidName:
        raise InvalidQuery("query.version: must be a version's number from 1, an alias, or latest.") from None
