"""What a run found, as it stands in the JSON file: every field is there, and no other."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from service.bench.rounds import Pace, Timing
from service.errors import BenchError

FORMAT = 2  # 1 had no decoders
TOLERANCE = 1e-4  # of the largest logit


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the times were taken with.

    Attributes:
        started: UTC, ISO 8601.
        processors: how many the command could use.
        instruction_sets: of the native engine, the fastest first.
        peaks: threads -> multiply-adds a second in registers alone, the best of the run; empty without the extension.
        tolerance: how far logits may lie from the numpy engine's, in shares of the largest.
        left_out: engine -> why it was not measured at all.
    """

    command: str
    started: str
    seed: int
    processor: str
    processors: int
    instruction_sets: Sequence[str]
    versions: Mapping[str, str]
    peaks: Mapping[str, float]
    pace: Pace
    tolerance: float
    left_out: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Subject:
    """A network that was measured.

    Attributes:
        multiply_adds: of the non-zero weights for one picture, each once for every output pixel.
        dense_multiply_adds: the same of all weights.
    """

    name: str
    architecture: str
    sha256: str
    bundle_bytes: int
    dense_bytes: int
    parameters: int
    weight_nonzeros: int
    multiply_adds: int
    dense_multiply_adds: int


@dataclass(frozen=True, slots=True)
class Row:
    """One engine with one network, number of threads and batch size.

    Attributes:
        dense: somebody else's runtime, which executes every weight.
        difference: of its logits from the numpy engine's, in shares of the largest; None where it gave none.
        problem: why there are no times, or why they do not count; "" where all is well.
        ratio: the best dense runtime's median over this one's; None where either is missing.
        share_of_peak: of the machine's multiply-adds a second, those that the non-zero weights need.
    """

    network: str
    threads: int
    batch: int
    engine: str
    dense: bool
    difference: float | None
    problem: str
    timing: Timing | None
    ratio: float | None
    share_of_peak: float | None

    @property
    def counts(self) -> bool:
        """Whether the times are those of an engine that does what it should."""
        return self.timing is not None and not self.problem


@dataclass(frozen=True, slots=True)
class LoadRow:
    """One engine that loads one network from its file.

    Attributes:
        parts: seconds of each part, medians, in order.
        ready: all of them together.
        first_picture: the first run after that, which does what loading has put off.
    """

    network: str
    threads: int
    engine: str
    file_bytes: int
    parts: Mapping[str, float]
    ready: Timing | None
    first_picture: Timing | None
    problem: str


@dataclass(frozen=True, slots=True)
class DecoderRow:
    """A network's Huffman streams decoded, tables made from code lengths included.

    Attributes:
        symbols: of all streams.
        timing: None where there is a `problem`.
    """

    network: str
    threads: int
    symbols: int
    timing: Timing | None
    problem: str


@dataclass(frozen=True, slots=True)
class Report:
    """All of it."""

    format: int
    conditions: Conditions
    networks: tuple[Subject, ...]
    rows: tuple[Row, ...]
    loads: tuple[LoadRow, ...]
    decoders: tuple[DecoderRow, ...]


def save_report(report: Any, path: Path) -> None:
    """A report of engines or of services, a dataclass, as JSON. Raises BenchError where the file cannot be written."""
    try:
        path.write_text(json.dumps(asdict(report), indent=1, allow_nan=False) + "\n")
    except OSError as error:
        raise BenchError(f'"{path}": {error.strerror}') from None


def load_report(path: Path) -> Report:
    """Raises BenchError where the file cannot be read or holds no report of this format."""
    try:
        return parse_report(json.loads(path.read_text()))
    except OSError as error:
        raise BenchError(f'"{path}": {error.strerror}') from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BenchError(f'"{path}": not a report of a measurement ({error})') from None


def parse_report(data: Any) -> Report:
    """A report of its JSON. Raises ValueError, TypeError or KeyError where it is none."""
    if data["format"] == 1:
        data = {**data, "format": FORMAT, "decoders": []}
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']}, must be 1 or {FORMAT}")
    conditions = data["conditions"]
    return Report(
        **_exactly(Report, data)
        | {
            "conditions": Conditions(**_exactly(Conditions, conditions) | {"pace": Pace(**conditions["pace"])}),
            "networks": tuple(Subject(**_exactly(Subject, network)) for network in data["networks"]),
            "rows": tuple(Row(**_with_timings(Row, row, ("timing",))) for row in data["rows"]),
            "loads": tuple(LoadRow(**_with_timings(LoadRow, row, ("ready", "first_picture"))) for row in data["loads"]),
            "decoders": tuple(DecoderRow(**_with_timings(DecoderRow, row, ("timing",))) for row in data["decoders"]),
        }
    )


def _exactly(kind: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a dataclass, or ValueError where there are others or some are missing."""
    names = {field.name for field in fields(kind)}
    if names != data.keys():
        raise ValueError(f"{kind.__name__}: fields {sorted(data)}, must be {sorted(names)}")
    return dict(data)


def _with_timings(kind: type, data: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    timings = {name: None if data[name] is None else Timing(**_exactly(Timing, data[name])) for name in names}
    return _exactly(kind, data) | timings
