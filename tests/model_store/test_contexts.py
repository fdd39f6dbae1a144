import math
import re
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store import contexts as module
from model_store.contexts import ContextModel, density_level, symbol_classes
from model_store.errors import MalformedBundle
from model_store.tensors import SharedTensor
from tests.model_store.examples import random_shared
from tests.reference_contexts import Contexts, kind

SHAPES = [(1, 1), (7, 9), (40, 1), (5, 3, 4), (6, 4, 3, 3), (3, 2, 5, 2)]
BOOK = np.array([-1, -0.5, 0.25, 2], np.float16)


def round_trip(tensors: list[SharedTensor]) -> list[SharedTensor]:
    writer, reader = ContextModel(), ContextModel()
    streams = [writer.encode(tensor) for tensor in tensors]
    return [
        reader.decode(tensor.shape, tensor.codebook, parts, "here")
        for tensor, parts in zip(tensors, streams, strict=True)
    ]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(SHAPES), st.floats(0, 1), st.sampled_from((1, 2, 7, 40))), max_size=3),
    st.integers(0, 2**32 - 1),
)
def test_tensors_come_back_in_their_order(kinds: list[tuple[tuple[int, ...], float, int]], seed: int) -> None:
    generator = np.random.default_rng(seed)
    tensors = [random_shared(generator, shape, density, entries) for shape, density, entries in kinds]
    for before, after in zip(tensors, round_trip(tensors), strict=True):
        assert after.shape == before.shape
        assert after.positions.tolist() == before.positions.tolist()
        assert after.codes.tolist() == before.codes.tolist()


@settings(max_examples=30)
@given(st.sampled_from(SHAPES), st.floats(0, 1), st.sampled_from((1, 2, 7, 40)), st.integers(0, 2**32 - 1))
def test_the_documents_decoder_reads_what_is_written(
    shape: tuple[int, ...], density: float, entries: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    model, reference = ContextModel(), Contexts()
    for _ in range(2):  # the second is coded under what the first has taught
        tensor = random_shared(generator, shape, density, entries)
        mask, values = model.encode(tensor)
        found = reference.tensor(shape, [float(entry) for entry in tensor.codebook], mask, values)
        assert found == tensor.to_dense().ravel().tolist()


def test_what_was_learnt_is_kept_for_the_next_tensor() -> None:
    tensor = smooth_kernels(0)
    model = ContextModel()
    first = sum(len(stream) for stream in model.encode(tensor))
    assert sum(len(stream) for stream in model.encode(tensor)) < first


def smooth_kernels(seed: int) -> SharedTensor:
    """Kernels whose taps have one sign each, as trained ones tend to."""
    generator = np.random.default_rng(seed)
    signs = np.where(generator.random((32, 16, 1)) < 0.5, -1, 1)
    weights = signs * generator.choice((0, 0.25, 0.5, 1), (32, 16, 9), p=(0.6, 0.2, 0.1, 0.1))
    flat = weights.ravel()
    book = np.array([-1, -0.5, -0.25, 0.25, 0.5, 1], np.float16)
    positions = np.flatnonzero(flat).astype(np.int32)
    codes = np.searchsorted(book.astype(np.float64), flat[positions]).astype(np.uint16)
    return SharedTensor((32, 16, 3, 3), positions, codes, book)


def shuffled(tensor: SharedTensor, seed: int) -> SharedTensor:
    """The same weights in other places."""
    codes = np.random.default_rng(seed).permutation(tensor.codes)
    return SharedTensor(tensor.shape, tensor.positions, codes, tensor.codebook)


def test_signs_that_agree_within_a_kernel_cost_less() -> None:
    tensor = smooth_kernels(1)
    smooth, mixed = (len(ContextModel().encode(item)[1]) for item in (tensor, shuffled(tensor, 0)))
    assert smooth < mixed - 0.5 * tensor.nonzeros * 0.6 / 8


def test_filters_and_channels_of_unequal_density_cost_less() -> None:
    generator = np.random.default_rng(3)
    density = np.outer(generator.choice((0.02, 0.6), 64), generator.choice((0.3, 1), 64))
    flat = np.flatnonzero(generator.random((64, 64)) < density).astype(np.int32)
    share = len(flat) / 4096
    entropy = -4096 * (share * math.log2(share) + (1 - share) * math.log2(1 - share)) / 8
    tensor = SharedTensor((64, 64), flat, np.zeros(len(flat), np.uint16), BOOK[:1])
    mask, values = ContextModel().encode(tensor)
    assert len(mask) < 0.95 * entropy
    assert values == b""


@pytest.mark.parametrize(
    ("nonzeros", "elements", "level"),
    [(0, 0, 18), (0, 9, 0), (1, 257, 0), (1, 256, 1), (1, 100, 3), (1, 2, 15), (9, 9, 17), (2, 9, 12)],
)
def test_levels_are_half_octaves_of_the_density(nonzeros: int, elements: int, level: int) -> None:
    assert density_level(nonzeros, elements) == level


@pytest.mark.parametrize(
    ("book", "classes"),
    [
        ([1], [0, 4]),
        ([-1], [0, 2]),
        ([-2, -1, 1, 2], [0, 2, 1, 3, 4]),
        ([-1, 1, 2, 3], [0, 1, 3, 4, 4]),
        ([-5, -4, -3, -2, -1, 7], [0, 2, 2, 2, 1, 1, 3]),
    ],
)
def test_classes_tell_sign_and_the_outer_half(book: list[float], classes: list[int]) -> None:
    assert symbol_classes(np.array(book, np.float16)) == classes
    assert [kind(value, book) for value in (0, *book)] == classes


def test_a_value_past_the_codebook_is_refused() -> None:
    tensor = SharedTensor((1, 2), np.arange(2, dtype=np.int32), np.array([3, 0], np.uint16), BOOK)
    streams = ContextModel().encode(tensor)
    with pytest.raises(MalformedBundle, match=r"^here: value symbol 4, must be <= 3$"):
        ContextModel().decode((1, 2), BOOK[:3], streams, "here")


def test_streams_of_another_shape_or_codebook_are_refused() -> None:
    tensor = random_shared(np.random.default_rng(0), (6, 4, 3, 3), 0.4)
    streams = ContextModel().encode(tensor)
    for shape in ((4, 6, 3, 3), (6, 4, 9), (6, 36), (6, 4, 3, 4), (6, 4, 3, 2)):
        with pytest.raises(MalformedBundle):
            ContextModel().decode(shape, tensor.codebook, streams, "here")
    with pytest.raises(MalformedBundle, match=re.escape("here: the coded bits")):
        ContextModel().decode(tensor.shape, tensor.codebook[:1], streams, "here")


def outcomes(tensors: list[SharedTensor], streams: list[tuple[bytes, bytes]]) -> list[object]:
    """What each tensor decodes to, one after the other, up to the first refusal; and what was learnt."""
    model, found = ContextModel(), list[object]()
    try:
        for tensor, parts in zip(tensors, streams, strict=True):
            decoded = model.decode(tensor.shape, tensor.codebook, parts, "here")
            found.append((decoded.positions.tolist(), decoded.codes.tolist()))
            found += [array.tolist() for array in model.bits_of_mask().learnt()]
    except MalformedBundle as error:
        found.append(str(error))
    return found


def in_python(tensors: list[SharedTensor], streams: list[tuple[bytes, bytes]]) -> list[object]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_decode", None)
        return outcomes(tensors, streams)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(SHAPES), st.floats(0, 1), st.sampled_from((1, 2, 7, 40))), min_size=1, max_size=3
    ),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_both_decoders_read_and_refuse_alike(
    kinds: list[tuple[tuple[int, ...], float, int]], seed: int, damaged: bool
) -> None:
    generator = np.random.default_rng(seed)
    tensors = [random_shared(generator, shape, density, entries) for shape, density, entries in kinds]
    model = ContextModel()
    streams = [model.encode(tensor) for tensor in tensors]
    if damaged:
        victim, part = int(generator.integers(len(streams))), int(generator.integers(2))
        parts = [bytearray(stream) for stream in streams[victim]]
        if parts[part]:
            at = int(generator.integers(len(parts[part])))
            parts[part][at] ^= int(generator.integers(1, 256))
            del parts[part][at + int(generator.integers(1, 9)) :]
        streams[victim] = (bytes(parts[0]), bytes(parts[1]))
    assert outcomes(tensors, streams) == in_python(tensors, streams)


@pytest.mark.parametrize(
    ("shape", "streams", "book", "message"),
    [
        ((1, 2), (b"", b""), BOOK, "here: the coded bits end before what they stand for"),
        ((1, 2), ("short", b""), BOOK, "here: the coded bits end before what they stand for"),
        ((1, 1), ("whole", "whole"), BOOK, "here: the coded bits do not end where what they stand for ends"),
        ((1, 2), ("whole", "whole"), BOOK[:3], "here: value symbol 4, must be <= 3"),
    ],
)
def test_both_decoders_give_the_same_reason(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], streams: tuple[object, object], book: object, message: str
) -> None:
    assert isinstance(book, np.ndarray)
    whole = ContextModel().encode(SharedTensor((1, 2), np.arange(2, dtype=np.int32), np.array([3, 0], np.uint16), BOOK))
    choice = {"whole": whole, "short": tuple(stream[:3] for stream in whole)}
    parts = [choice[kind][at] if isinstance(kind, str) else kind for at, kind in enumerate(streams)]
    for decoder in (module._decode, None):
        monkeypatch.setattr(module, "_decode", decoder)
        with pytest.raises(MalformedBundle) as caught:
            ContextModel().decode(shape, book, (parts[0], parts[1]), "here")
        assert str(caught.value) == message


def test_python_takes_over_where_the_extension_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = random_shared(np.random.default_rng(0), (6, 4, 3, 3), 0.4)
    monkeypatch.setitem(sys.modules, "model_store._lanes_native", None)
    monkeypatch.setattr(module, "_decode", module._find_decoder())
    assert module._decode is None
    assert round_trip([tensor])[0].positions.tolist() == tensor.positions.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": (0, 1, 1, 1)}, "shape"),
        ({"shape": (1, 1, 1, 0)}, "shape"),
        ({"shape": (1 << 40, 1 << 40, 1, 1)}, "shape"),
        ({"depth": 17}, "depth"),
        ({"depth": -1}, "depth"),
        ({"depth": 0, "value_contexts": 25}, "classes"),
        ({"classes": []}, "classes"),
        ({"classes": [0, 5]}, "class"),
        ({"mask_contexts": 379}, "learnt"),
        ({"value_contexts": 49}, "learnt"),
        ({"count": 128}, "count"),
    ],
)
def test_the_extension_refuses_what_does_not_fit(change: dict[str, object], message: str) -> None:
    native = pytest.importorskip("model_store._lanes_native", reason="built without a compiler")
    fits = {"shape": (1, 1, 1, 1), "depth": 1, "classes": [0, 2, 4], "count": 0}
    given_ = fits | {"mask_contexts": 380, "value_contexts": 50} | change
    learnt = [np.full(given_["mask_contexts"], 1 << 15, np.uint16), np.zeros(given_["mask_contexts"], np.uint8)]
    learnt += [np.full(given_["value_contexts"], 1 << 15, np.uint16), np.zeros(given_["value_contexts"], np.uint8)]
    learnt[3][-1] = given_["count"]
    classes = np.array(given_["classes"], np.uint8)
    with pytest.raises(ValueError, match=message):
        native.contexts(given_["shape"], classes, given_["depth"], b"\1\0\0", b"", *learnt)
