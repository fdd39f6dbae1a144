"""Direct sparse convolution in Triton: one program makes a block of positions of one output channel.

For each non-zero of the channel's filter the input at one offset is loaded, multiplied and added: no im2col, and no
zero is touched (Chen 2018, "Escort"; SkimCaffe). Scale, bias, residual and bounds follow in registers.
Kept to what Triton 3.5 to 3.7 have in common.
"""

import triton
import triton.language as tl

UNROLLED = 4  # non-zeros whose loads are in flight together


@triton.jit(do_not_specialize=["rows", "out_width"])
def convolve(
    padded: tl.tensor,
    indptr: tl.tensor,
    offsets: tl.tensor,
    values: tl.tensor,
    order: tl.tensor,
    scale: tl.tensor,
    bias: tl.tensor,
    residual: tl.tensor,
    output: tl.tensor,
    rows: tl.tensor,
    positions: tl.tensor,
    pictures: tl.tensor,
    out_width: tl.tensor,
    row_step: tl.tensor,
    column_step: tl.tensor,
    low: tl.tensor,
    high: tl.tensor,
    BLOCK: tl.constexpr,  # noqa: N803
    UNROLL: tl.constexpr,  # noqa: N803
    HAS_SCALE: tl.constexpr,  # noqa: N803
    HAS_BIAS: tl.constexpr,  # noqa: N803
    HAS_RESIDUAL: tl.constexpr,  # noqa: N803
    HAS_BOUNDS: tl.constexpr,  # noqa: N803
) -> None:
    """output[row, :] = clamp(scale * sum(value * padded[offset + corner]) + bias + residual), one block of positions.

    Args:
        padded: float32 [channels, padded rows, padded columns, pictures].
        order: int32 [rows]: rows by falling count of non-zeros, so that the longest do not start last.
        positions: output rows * output columns * pictures, of one channel.
        row_step, column_step: numbers from one window's corner to the next, down and across.
    """
    program = tl.program_id(0)
    row = tl.load(order + program % rows)
    place = (program // rows) * BLOCK + tl.arange(0, BLOCK)
    inside = place < positions
    pixel = place // pictures
    corner = (pixel // out_width) * row_step + (pixel % out_width) * column_step + place % pictures
    begin = tl.load(indptr + row)
    end = tl.load(indptr + row + 1)
    total = tl.zeros((BLOCK,), dtype=tl.float32)
    for first in range(begin, end, UNROLL):
        for ahead in tl.static_range(UNROLL):
            entry = first + ahead
            live = entry < end
            offset = tl.load(offsets + entry, mask=live, other=0).to(tl.int64)
            weight = tl.load(values + entry, mask=live, other=0.0)
            total += weight * tl.load(padded + offset * pictures + corner, mask=inside & live, other=0.0)
    if HAS_SCALE:
        total = total * tl.load(scale + row)
    if HAS_BIAS:
        total = total + tl.load(bias + row)
    goal = row.to(tl.int64) * positions + place
    if HAS_RESIDUAL:
        total = total + tl.load(residual + goal, mask=inside, other=0.0)
    if HAS_BOUNDS:  # what is not a number stays so, and is told
        total = tl.maximum(total, low, propagate_nan=tl.PropagateNan.ALL)
        total = tl.minimum(total, high, propagate_nan=tl.PropagateNan.ALL)
    tl.store(output + goal, total, mask=inside)
