"""Huffman lanes decoded in Triton: one lane a thread, all lanes of a program in lock step.

The 8 KiB table of a lane is read through the first-level cache, which is the same memory as the shared one: Triton has
no way to keep a table in shared memory across a loop. Kept to what Triton 3.5 to 3.7 have in common.
"""

import triton
import triton.language as tl


@triton.jit
def decode(
    payload: tl.tensor,
    payload_bytes: tl.tensor,
    lookup: tl.tensor,
    starts: tl.tensor,
    counts: tl.tensor,
    tables: tl.tensor,
    firsts: tl.tensor,
    symbols: tl.tensor,
    ends: tl.tensor,
    lanes: tl.tensor,
    CODE_BITS: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
) -> None:
    """Decode `counts` symbols of each lane, whatever bits it holds: behind its end the payload reads as zeros.

    Args:
        payload: uint8 [payload_bytes].
        lookup: int16 [tables * 2**CODE_BITS], next bits -> symbol << 4 | length.
        starts, counts, tables, firsts: int64 [lanes]: first bit, symbols, table, and where the first symbol goes.
        symbols: int16, the output of all lanes.
        ends: int64 [lanes], the output: the bit behind the last symbol.
    """
    lane = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = lane < lanes
    position = tl.load(starts + lane, mask=inside, other=0)
    count = tl.load(counts + lane, mask=inside, other=0)
    table = lookup + (tl.load(tables + lane, mask=inside, other=0) << CODE_BITS)
    goal = symbols + tl.load(firsts + lane, mask=inside, other=0)
    for step in range(tl.max(count, axis=0)):
        running = step < count
        byte = position >> 3
        window = tl.zeros((BLOCK,), dtype=tl.int32)
        for ahead in tl.static_range(3):
            there = running & (byte + ahead < payload_bytes)
            window = (window << 8) | tl.load(payload + byte + ahead, mask=there, other=0).to(tl.int32)
        bits = (window >> (24 - CODE_BITS - (position & 7).to(tl.int32))) & ((1 << CODE_BITS) - 1)
        entry = tl.load(table + bits, mask=running, other=0).to(tl.int32)
        tl.store(goal + step, (entry >> 4).to(tl.int16), mask=running)
        position += entry & 15
    tl.store(ends + lane, position, mask=inside)
