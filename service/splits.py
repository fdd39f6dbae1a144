"""Canaries and shadows, as the settings name them: MODEL=CANDIDATE@SHARE.

A canary answers a share of the requests that ask for MODEL's latest version; a shadow is shown a share of them, and
answers nobody. The same request id always falls on the same side.
"""

import hashlib
import math
from dataclasses import dataclass

from model_store.errors import InvalidName
from model_store.names import check_model_name
from model_store.references import Reference, parse_reference
from service.errors import SettingsError

KINDS = ("canary", "shadow")


@dataclass(frozen=True, slots=True)
class Split:
    """A share of a model's requests, and who else sees them.

    Attributes:
        kind: "canary" or "shadow".
        primary: the model that is asked for.
        candidate: another model or version.
        share: of the requests, above 0 and at most 1.

    Raises:
        InvalidName: no model can have the primary's name.
        SettingsError: the share is outside its range, or the candidate is the primary.
    """

    kind: str
    primary: str
    candidate: Reference
    share: float

    def __post_init__(self) -> None:
        check_model_name(self.primary)
        if self.candidate == Reference(self.primary):
            raise SettingsError(f'{self.kind} "{self}": the candidate must be another model or version')
        if not (math.isfinite(self.share) and 0 < self.share <= 1):
            raise SettingsError(f"{self.kind} share {self.share:g}, must be above 0 and at most 1")

    def __str__(self) -> str:
        return f"{self.primary}={self.candidate}@{self.share:g}"

    def takes(self, request_id: str) -> bool:
        """Whether a request is among the share. Independent between splits of different kinds or models."""
        digest = hashlib.blake2b(f"{self.kind} {self.primary} {request_id}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) < self.share * 2**64


def parse_splits(kind: str, text: str) -> list[Split]:
    """Read MODEL=CANDIDATE@SHARE,...; nothing where the text is empty.

    Raises:
        SettingsError: it is anything else, or names a model twice.
    """
    splits = [_parse_split(kind, part) for part in text.split(",")] if text else []
    names = [split.primary for split in splits]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f'{kind} "{text}": names the model "{name}" twice, must once')
    return splits


def _parse_split(kind: str, text: str) -> Split:
    primary, equals, rest = text.partition("=")
    candidate, at, share = rest.rpartition("@")
    if not (equals and at):
        raise SettingsError(f'{kind} "{text}", must be MODEL=CANDIDATE@SHARE')
    try:
        return Split(kind, primary, parse_reference(candidate), float(share))
    except InvalidName as error:
        raise SettingsError(f'{kind} "{text}": {error}') from None
    except ValueError:
        raise SettingsError(f'{kind} "{text}": share "{share}", must be a number') from None
