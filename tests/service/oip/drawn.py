"""Requests of the protocol, written by hand or drawn, and an independent writer of their bytes."""

import json
import struct
from collections.abc import Sequence

from hypothesis import strategies as st

Json = dict[str, object]

PARAMETERS = st.dictionaries(
    st.text(max_size=8).filter(lambda name: name not in {"timeout", "sequence_id", "binary_data_output"}),
    st.one_of(
        st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.text()
    ),
    max_size=3,
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ANY_JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=10)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=10), inner, max_size=4)),
    max_leaves=8,
)
NAMES = st.sampled_from(["id", "parameters", "inputs", "outputs", "name", "shape", "datatype", "data"])


def element(text: bytes) -> bytes:
    """An element of a BYTES tensor."""
    return struct.pack("<I", len(text)) + text


def document_of(**members: object) -> bytes:
    """A request's JSON."""
    return json.dumps(members).encode()


def one_input(**members: object) -> Json:
    """An input that is right, but for these members; None leaves one out."""
    entry: Json = {"name": "input", "shape": [1, 2], "datatype": "FP32", "data": [0.5, 1]}
    return {name: value for name, value in (entry | members).items() if value is not None}


@st.composite
def nearly_requests(draw: st.DrawFn) -> bytes:
    """Requests with members that are right, wrong or strange."""
    entry = one_input(
        **draw(st.dictionaries(st.sampled_from(["name", "shape", "datatype", "data"]), ANY_JSON, max_size=2))
    )
    entry["parameters"] = draw(st.one_of(PARAMETERS, ANY_JSON))
    document: Json = {"inputs": [entry]}
    document.update(draw(st.dictionaries(NAMES, ANY_JSON, max_size=2)))
    return json.dumps(document).encode()


def nested(values: Sequence[object], shape: Sequence[int]) -> object:
    """A flat sequence as lists in lists."""
    if len(shape) == 1:
        return list(values)
    size = len(values) // shape[0]
    return [nested(values[start : start + size], shape[1:]) for start in range(0, len(values), size)]
