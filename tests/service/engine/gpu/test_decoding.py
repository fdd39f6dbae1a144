"""Whole bundles decoded on a device beside the host's decoder: the same weights, and the same refusals."""

import gc
import weakref
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store.bundle import check_bundle, decode_coded, encode_bundle
from model_store.coded import CodedBundle, CodedSparse, CodedTensor, Layout, streams_of
from model_store.decoder import decode_tensors
from model_store.errors import BundleError, MalformedBundle
from model_store.lanes import CodedStream, lane_counts, payload_size
from model_store.limits import MAX_CODE_LENGTH
from model_store.tensors import SharedTensor
from service.engine.gpu import TorchPlan, decode_on
from service.engine.gpu.decoding import decode_tensors_on
from service.engine.gpu.options import TorchOptions
from service.engine.gpu.resident import ResidentTensor
from service.engine.numpy_engine import NumpyPlan
from tests.model_store import test_decoder as on_the_host
from tests.model_store.examples import residual_bundle, with_8_bit_vectors
from tests.service.bundles import pictures
from tests.service.engine.gpu.devices import DEVICE

HERE = torch.device(DEVICE)


def coded_bundle(coder: str = "huffman", seed: int = 0) -> CodedBundle:
    return check_bundle(encode_bundle(with_8_bit_vectors(residual_bundle(seed)), coder))  # type: ignore[arg-type]


@pytest.mark.parametrize("coder", ["huffman", "arithmetic"])
def test_every_tensor_is_what_the_host_decodes(coder: str) -> None:
    coded = coded_bundle(coder)
    found = decode_tensors_on(HERE, coded)
    for mine, theirs in zip(found, decode_tensors(coded), strict=True):
        assert mine.shape == theirs.shape
        assert mine.nonzeros == theirs.nonzeros
        assert np.array_equal(mine.to_dense(), theirs.to_dense())
    resident = [isinstance(tensor, ResidentTensor) for tensor in found]
    assert any(resident) == (coder == "huffman")


@pytest.mark.parametrize("layout", [Layout.CSR, Layout.CSC])
def test_positions_and_codes_are_the_hosts_whatever_the_scan(layout: Layout) -> None:
    coded = on_the_host.coded(on_the_host.sparse(layout, [1, 3, 0], [1, 2]))
    (mine,), (theirs,) = decode_tensors_on(HERE, coded), decode_tensors(coded)
    assert isinstance(mine, ResidentTensor)
    assert isinstance(theirs, SharedTensor)
    for name in ("positions", "codes", "codebook"):
        assert np.array_equal(getattr(mine, name), getattr(theirs, name))
        assert getattr(mine, name).dtype == getattr(theirs, name).dtype


def test_a_bundle_that_stays_on_the_device_runs_and_encodes_like_the_hosts() -> None:
    coded = coded_bundle()
    resident, bundle = decode_on(DEVICE, coded), decode_coded(coded)
    batch = pictures(bundle, 3)
    np.testing.assert_allclose(
        TorchPlan(resident, DEVICE).run(batch), NumpyPlan(bundle).run(batch), rtol=1e-4, atol=1e-4
    )
    assert encode_bundle(resident) == encode_bundle(bundle)
    assert (resident.nonzeros, resident.sparsity) == (bundle.nonzeros, bundle.sparsity)


def test_a_plan_keeps_nothing_of_the_positions_its_weights_came_with() -> None:
    bundle = decode_on(DEVICE, coded_bundle())
    positions = [weakref.ref(tensor._positions) for tensor in bundle.tensors if isinstance(tensor, ResidentTensor)]
    plan = TorchPlan(bundle, DEVICE, TorchOptions(batches=(1,), graphs=0))
    del bundle
    gc.collect()
    assert positions
    assert [reference() for reference in positions] == [None] * len(positions)
    assert plan.weight_bytes


def refusal(decode: object, coded: CodedBundle) -> tuple[type, str] | None:
    try:
        decode(coded)  # type: ignore[operator]
    except BundleError as error:
        return type(error), str(error)
    return None


def both_refuse(coded: CodedBundle) -> str:
    """The message, which must be the host's."""
    mine = refusal(lambda given: decode_tensors_on(HERE, given), coded)
    assert mine == refusal(decode_tensors, coded)
    assert mine is not None
    assert mine[0] is MalformedBundle
    return mine[1]


@pytest.mark.parametrize(
    ("gaps", "values", "message"),
    [
        ([1, 3, 0], [1, 3], "value symbol 3, must be <= 2"),
        ([1, 3, 0], [1, 0], "value symbol 0, must be >= 1 where gaps say what is zero"),
        ([1, 0], [1], "2 positions, must be 1, the last symbol one of them"),
        ([1, 3], [1], "1 positions, must be 1, the last symbol one of them"),
        ([], [1], "0 positions, must be 1, the last symbol one of them"),
        ([3, 3, 0], [1], "position 6, must be < 6"),
    ],
)
def test_streams_that_contradict_their_tensor_are_refused(gaps: list[int], values: list[int], message: str) -> None:
    coded = on_the_host.coded(on_the_host.sparse(Layout.CSR, gaps, values))
    assert both_refuse(coded) == f'tensor "fc.weight": {message}'


def test_a_gap_symbol_past_the_limit_is_refused() -> None:
    tensor = replace(on_the_host.sparse(Layout.CSR, [1, 3], [1, 2]), gap_limit=2)
    assert both_refuse(on_the_host.coded(tensor)) == 'tensor "fc.weight": gap symbol 3, must be <= 2'


def test_a_value_past_the_codebook_is_refused_where_every_element_has_a_code() -> None:
    assert both_refuse(on_the_host.coded(on_the_host.codes(3, 0))) == 'tensor "fc.weight": value symbol 3, must be <= 2'


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (CodedStream(0, 4, (6,), b"\x01"), "padding bits 0b1, must be zero"),
        (CodedStream(0, 4, (7,), b"\x00"), "the codes do not end where their lane ends"),
    ],
)
def test_streams_that_are_no_streams_are_refused(stream: CodedStream, message: str) -> None:
    tensor = replace(on_the_host.codes(0, 0, 0, 0), values=stream)
    assert both_refuse(on_the_host.coded(tensor)) == f'tensor "fc.weight": {message}'


def test_a_code_that_the_table_lacks_is_refused() -> None:
    table = on_the_host.HuffmanTable((0, 1))
    tensor = replace(on_the_host.codes(0, 0), values=CodedStream(0, 2, (2,), b"\x40"))
    coded = replace(on_the_host.coded(tensor), tables=(table,))
    assert both_refuse(coded) == 'tensor "fc.weight": holds a code that its Huffman table lacks'


def spoilt(stream: CodedStream, generator: np.random.Generator, lane_log2: int) -> CodedStream:
    """One bit of the payload turned, or lane lengths drawn anew: what a digest that fits can still hide."""
    if not stream.count:
        return stream
    if generator.random() < 0.5:
        payload = bytearray(stream.payload)
        payload[generator.integers(len(payload))] ^= 1 << generator.integers(8)
        return replace(stream, payload=bytes(payload))
    counts = lane_counts(stream.count, lane_log2)
    lane_bits = tuple(int(generator.integers(count, MAX_CODE_LENGTH * count + 1)) for count in counts)
    size = payload_size(lane_bits)
    return replace(stream, lane_bits=lane_bits, payload=bytes(stream.payload[:size]).ljust(size, b"\0"))


def with_spoilt_stream(tensor: CodedTensor, generator: np.random.Generator, lane_log2: int) -> CodedTensor:
    if isinstance(tensor, CodedSparse) and generator.random() < 0.5:
        return replace(tensor, gaps=spoilt(tensor.gaps, generator, lane_log2))
    return replace(tensor, values=spoilt(tensor.values, generator, lane_log2))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    """Without a GPU lanes are decoded by torch: Triton's interpreter takes seconds for a bundle."""
    with pytest.MonkeyPatch.context() as patch:
        if DEVICE == "cpu":
            patch.setattr("service.engine.gpu.lanes.runs_triton", lambda device: False)
        yield


@pytest.mark.usefixtures("quick")
@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_whatever_the_streams_hold_device_and_host_say_the_same(seed: int) -> None:
    generator = np.random.default_rng(seed)
    coded = CODED[seed % len(CODED)]
    tensors = list(coded.tensors)
    shared = [index for index, tensor in enumerate(tensors) if streams_of(tensor)]
    for index in generator.choice(shared, generator.integers(1, 3)):
        tensors[index] = with_spoilt_stream(tensors[index], generator, coded.lane_log2)
    spoilt_bundle = replace(coded, tensors=tuple(tensors))
    mine = refusal(lambda given: decode_tensors_on(HERE, given), spoilt_bundle)
    assert mine == refusal(decode_tensors, spoilt_bundle)
    if mine is None:
        for a, b in zip(decode_tensors_on(HERE, spoilt_bundle), decode_tensors(spoilt_bundle), strict=True):
            assert np.array_equal(a.to_dense(), b.to_dense())


CODED = [coded_bundle(seed=seed) for seed in (0, 1)]


def test_a_bundle_without_streams_is_decoded_too() -> None:
    without = on_the_host.sparse(Layout.CSR, [], [])
    coded = replace(on_the_host.coded(on_the_host.codes(0, 0)), tensors=(without,), tables=())
    (tensor,) = decode_tensors_on(HERE, coded)
    assert (tensor.nonzeros, tensor.to_dense().any()) == (0, False)
