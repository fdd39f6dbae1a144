"""How people name a version of a model: NAME, NAME:VERSION or NAME:ALIAS."""

from dataclasses import dataclass

from model_store.names import LATEST, check_alias, check_model_name, check_version

Selector = int | str | None
"""A version's number, an alias, or None for the latest version."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A model, and which of its versions. Raises InvalidName where no model or version can have that name."""

    name: str
    selector: Selector = None

    def __post_init__(self) -> None:
        check_model_name(self.name)
        if self.selector is not None:
            parse_selector(str(self.selector))

    def __str__(self) -> str:
        return self.name if self.selector is None else f"{self.name}:{self.selector}"


def parse_reference(text: str) -> Reference:
    """Read NAME, NAME:VERSION, NAME:ALIAS or NAME:latest. Raises InvalidName for anything else."""
    name, colon, selector = text.partition(":")
    return Reference(name, parse_selector(selector) if colon else None)


def parse_selector(text: str) -> Selector:
    """Read VERSION, ALIAS or "latest". Raises InvalidName for anything else."""
    if text == LATEST:
        return None
    return check_version(text) if not text[:1].isalpha() else check_alias(text)
