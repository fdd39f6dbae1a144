"""Huffman lanes decoded on a device: by the Triton kernel where that runs, elsewhere by torch's operators."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model_store.huffman import NO_SYMBOL, HuffmanTable
from model_store.limits import MAX_CODE_LENGTH
from model_store.lock_step import Lanes
from service.engine.gpu.devices import runs_triton

_BLOCK = 32  # lanes of a program: one warp, so that many multiprocessors have some
_ENTRIES = 1 << MAX_CODE_LENGTH


def upload_lookup(tables: Sequence[HuffmanTable], device: torch.device) -> Tensor:
    """int16 [tables * 2**MAX_CODE_LENGTH], what `HuffmanTable.lookup` gives, one table after the other.

    Only one number a code crosses the bus; the device repeats them.
    """
    entries: list[np.ndarray] = []
    repeats: list[np.ndarray] = []
    for table in tables:
        lengths = np.array(table.lengths)
        order = np.lexsort((np.arange(len(lengths)), lengths))[np.count_nonzero(lengths == 0) :]
        filled = _ENTRIES >> lengths[order]
        entries.append(np.append(order << 4 | lengths[order], NO_SYMBOL << 4 | 1))
        repeats.append(np.append(filled, _ENTRIES - filled.sum()))
    numbers = torch.from_numpy(np.concatenate(entries).astype(np.int16)).to(device)
    return torch.repeat_interleave(numbers, torch.from_numpy(np.concatenate(repeats)).to(device))


def decode_lanes(lanes: Lanes, payload: bytes, lookup: Tensor) -> tuple[Tensor, Tensor]:
    """Decode lanes, whatever bits they hold: behind its end the payload reads as zeros.

    Args:
        lookup: `upload_lookup`, on the device that decodes.

    Returns:
        The symbols int16 of all lanes, one after the other, and the bit int64 behind the last one of each.
    """
    device = lookup.device
    data = torch.from_numpy(np.frombuffer(payload, dtype=np.uint8).copy()).to(device)
    starts, counts, tables = (
        torch.from_numpy(array).to(device) for array in (lanes.starts, lanes.counts, lanes.tables)
    )
    if not runs_triton(device):
        return lock_step(data, lookup, starts, counts, tables)
    from service.engine.gpu.lane_kernel import decode

    symbols = torch.empty(int(lanes.counts.sum()), dtype=torch.int16, device=device)
    ends = torch.empty_like(starts)
    firsts = torch.cumsum(counts, 0) - counts
    grid = (-(-len(starts) // _BLOCK),)
    decode[grid](
        data, len(data), lookup, starts, counts, tables, firsts, symbols, ends, len(starts),
        CODE_BITS=MAX_CODE_LENGTH, BLOCK=_BLOCK, num_warps=1,
    )  # fmt: skip
    return symbols, ends


def lock_step(data: Tensor, lookup: Tensor, starts: Tensor, counts: Tensor, tables: Tensor) -> tuple[Tensor, Tensor]:
    """The same by torch's operators on any device: `model_store.lock_step.lock_step` line by line."""
    counts, order = torch.sort(counts, descending=True, stable=True)
    steps = torch.arange(int(counts[0]), device=data.device)
    running = torch.searchsorted(-counts, -steps)
    rows = torch.cumsum(running, 0) - running
    windows = _windows(data)
    output = torch.empty(int(counts.sum()), dtype=torch.int16, device=data.device)
    position = starts[order]
    base = tables[order] << MAX_CODE_LENGTH
    for row, count in zip(rows.tolist(), running.tolist(), strict=True):
        here = position[:count]
        bits = windows[(here >> 3).clamp(max=len(windows) - 1)] >> (24 - MAX_CODE_LENGTH - (here & 7))
        entries = lookup[(bits & (_ENTRIES - 1)) + base[:count]]
        output[row : row + count] = entries >> 4
        here += entries & 15
    rank = torch.argsort(order)
    lane = torch.repeat_interleave(counts[rank])
    firsts = torch.cumsum(counts[rank], 0) - counts[rank]
    step = torch.arange(len(output), device=data.device) - firsts[lane]
    return output[rows[step] + rank[lane]], position[rank]


def _windows(data: Tensor) -> Tensor:
    """The 24 bits from every byte on, int64 [bytes + 1]: a code and its bit offset in one look."""
    padded = torch.cat([data, data.new_zeros(3)]).long()
    return padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
