"""The files of the web page, read once: a closed list, so that no name a client sends ever becomes a path."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

_HTML = "text/html; charset=utf-8"
_SCRIPT = "text/javascript; charset=utf-8"
_TYPES = {
    "index.html": _HTML,
    "model.html": _HTML,
    "charts.js": _SCRIPT,
    "classify.js": _SCRIPT,
    "dom.js": _SCRIPT,
    "drawings.js": _SCRIPT,
    "latency.js": _SCRIPT,
    "model.js": _SCRIPT,
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
# Scripts, styles and answers from here only; blob: is the preview of the picture that was chosen.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file.

    Attributes:
        content: its bytes.
        media_type: its Content-Type.
        tag: its ETag, of the content.
    """

    content: bytes
    media_type: str
    tag: str


def _read(name: str, media_type: str) -> Asset:
    content = files("service.page").joinpath(name).read_bytes()
    return Asset(content, media_type, f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"')


ASSETS = MappingProxyType({name: _read(name, media_type) for name, media_type in _TYPES.items()})
