"""Lanes decoded on a device beside the host's decoder, which the format's tests hold to the document."""

import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store.huffman import HuffmanTable, fit_table
from model_store.lock_step import Lanes
from model_store.lock_step import lock_step as on_the_host
from service.engine.gpu.devices import runs_triton
from service.engine.gpu.lanes import decode_lanes, lock_step, upload_lookup
from tests.service.engine.gpu.devices import DEVICE

HERE = torch.device(DEVICE)


@functools.cache
def some_tables() -> list[HuffmanTable]:
    """Of alphabets from one symbol to all, with codes of up to the longest length among them."""
    generator = np.random.default_rng(0)
    return [
        fit_table(np.maximum(1, (10.0 ** generator.uniform(0, 6, alphabet)).astype(np.int64)))
        for alphabet in (1, 2, 9, 40, 300, 1023)
    ]


def in_lock_step(lanes: Lanes, payload: bytes, lookup: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    data = torch.from_numpy(np.frombuffer(payload, np.uint8).copy()).to(HERE)
    starts, counts, tables = (torch.from_numpy(item).to(HERE) for item in (lanes.starts, lanes.counts, lanes.tables))
    return lock_step(data, lookup, starts, counts, tables)


def test_the_lookup_is_the_hosts() -> None:
    tables = [*some_tables(), HuffmanTable((0, 0, 1)), HuffmanTable((1, 2, 3, 3))]
    expected = np.concatenate([table.lookup() for table in tables])
    assert np.array_equal(upload_lookup(tables, HERE).cpu().numpy(), expected.astype(np.int16))


@settings(max_examples=15)
@given(st.binary(max_size=100), st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_any_bits_are_read_as_on_the_host(payload: bytes, seed: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    tables = [some_tables()[index] for index in generator.integers(0, 6, 3)]
    lanes = Lanes(
        generator.integers(0, 8 * len(payload) + 1, count),
        generator.integers(1, 20, count),
        generator.integers(0, 3, count),
    )
    lookup = upload_lookup(tables, HERE)
    expected = on_the_host(lanes, payload, np.concatenate([table.lookup() for table in tables]))
    for decode in (decode_lanes, in_lock_step):
        for got, wanted in zip(decode(lanes, payload, lookup), expected, strict=True):
            np.testing.assert_array_equal(got.cpu().numpy(), wanted)


def test_where_triton_does_not_run_torch_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.engine.gpu.lanes.runs_triton", lambda device: False)
    lanes = Lanes(np.array([0]), np.array([4]), np.array([0]))
    symbols, ends = decode_lanes(lanes, bytes([0b11001000]), upload_lookup([HuffmanTable((1, 2, 2))], HERE))
    assert (symbols.tolist(), ends.tolist()) == ([2, 0, 0, 1], [6])


def test_a_missing_triton_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.engine.gpu.devices.find_spec", lambda name: None)
    assert not runs_triton(torch.device("cuda"))


def test_a_gpu_runs_triton_and_a_cpu_only_its_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    knobs = pytest.importorskip("triton").knobs
    assert runs_triton(torch.device("cuda"))
    for interpret in (False, True):
        monkeypatch.setattr(knobs.runtime, "interpret", interpret)
        assert runs_triton(torch.device("cpu")) is interpret
