"""What may happen to any bytes at all, and whether both decoders agree on them."""

import numpy as np

from model_store.bundle import Bundle, decode_bundle
from model_store.errors import BundleError
from model_store.serialization import parse, serialize
from tests import reference_decoder
from tests.reference_fields import Refused


def judge(data: bytes) -> Bundle | BundleError:
    """Decode, and hold the format's promise: one error family, and one spelling of whatever is accepted.

    Any other exception, and any warning (the tests turn those into errors), passes through and fails the test.
    """
    try:
        coded = parse(data)
    except BundleError as error:
        return error
    assert serialize(coded) == data
    try:
        return decode_bundle(data)
    except BundleError as error:
        return error


def agree(data: bytes) -> bool:
    """Hold production and the reference decoder to one verdict and one content; whether they accept."""
    found = judge(data)
    expected = reference_verdict(data)
    if isinstance(expected, Refused):
        assert isinstance(found, BundleError), f"accepted what the document refuses: {expected}"
        return False
    assert isinstance(found, Bundle), f"refused what the document accepts: {found}"
    assert_same(found, expected)
    return True


def reference_verdict(data: bytes) -> reference_decoder.ReferenceBundle | Refused:
    """What the second decoder makes of the bytes."""
    try:
        return reference_decoder.decode(data)
    except Refused as refusal:
        return refusal


def assert_same(found: Bundle, expected: reference_decoder.ReferenceBundle) -> None:
    """Compare every field."""
    assert found.architecture == expected.architecture
    assert found.parameters == expected.parameters
    assert found.dense_bytes == expected.dense_bytes
    assert found.preprocessing.input_shape == expected.input_shape
    assert (found.preprocessing.mean, found.preprocessing.std) == (expected.mean, expected.deviation)
    assert found.class_names == expected.class_names
    assert found.provenance == expected.provenance
    for node, other in zip(found.graph.nodes, expected.nodes, strict=True):
        flat = tuple(value for values in node.attributes.values() for value in values)
        assert (node.operator, node.values, node.tensors, node.name, flat) == (
            other.operator,
            other.inputs,
            other.tensors,
            other.name,
            other.attributes,
        )
    for tensor, array in zip(found.tensors, expected.tensors, strict=True):
        assert tensor.shape == array.shape
        assert np.array_equal(tensor.to_dense().view(np.uint32), array.view(np.uint32))


def refusal(data: bytes) -> str:
    """Class and message of the error that refuses the bytes."""
    error = judge(data)
    assert isinstance(error, BundleError)
    return f"{type(error).__name__}: {error}"
