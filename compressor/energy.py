"""An estimate of the energy that one picture costs, from published figures for a 45 nm chip; nothing is measured."""

from dataclasses import dataclass

from compressor.operations import Operations

ADD_PJ, MULTIPLY_PJ, SRAM_WORD_PJ, DRAM_WORD_PJ = 0.9, 3.7, 5.0, 640.0
WORD_BYTES = 4
PJ_PER_MJ = 1e9
ASSUMPTIONS = f"""\
Energy is an estimate from 45 nm figures (Horowitz, ISSCC 2014, table as cited by Han et al. 2015 and 2016): float32
addition {ADD_PJ} pJ, multiplication {MULTIPLY_PJ} pJ, 32 bits from SRAM {SRAM_WORD_PJ:g} pJ, from DRAM \
{DRAM_WORD_PJ:g} pJ. Assumed: batches of one; every weight
is read from DRAM once a picture (the compressed network: the bytes of its file); every multiply-accumulate reads a
weight and a value from SRAM and keeps its sum in a register; every activation is written to SRAM once; a comparison
costs an addition, a division a multiplication; decoding costs nothing. "mJ, file in SRAM" is the sum where the weights
stay on the chip."""


@dataclass(frozen=True, slots=True)
class Energy:
    """Millijoules for one picture, by where they go."""

    arithmetic_mj: float
    sram_mj: float
    dram_mj: float

    @property
    def total_mj(self) -> float:
        return self.arithmetic_mj + self.sram_mj + self.dram_mj

    @property
    def on_chip_mj(self) -> float:
        """Without DRAM: the weights fit the chip's own memory."""
        return self.arithmetic_mj + self.sram_mj


def energy_of(operations: Operations, weight_bytes: int) -> Energy:
    """Estimate the energy of one picture.

    Args:
        weight_bytes: what is read from DRAM.
    """
    additions = operations.multiply_adds + operations.additions + operations.comparisons
    multiplications = operations.multiply_adds + operations.multiplications + operations.divisions
    words = 2 * operations.multiply_adds + operations.activations
    return Energy(
        (ADD_PJ * additions + MULTIPLY_PJ * multiplications) / PJ_PER_MJ,
        SRAM_WORD_PJ * words / PJ_PER_MJ,
        DRAM_WORD_PJ * weight_bytes / WORD_BYTES / PJ_PER_MJ,
    )
