"""How fast a bundle's Huffman streams become symbols."""

from collections.abc import Sequence

from service.bench.candidate import Candidate
from service.bench.catalog import EngineKind
from service.bench.crew import Crew
from service.bench.report import DecoderRow
from service.bench.rounds import Pace, summarize
from service.bench.worker import Streams
from service.errors import WorkerFailed


def time_streams(crew: Crew, kinds: Sequence[EngineKind], candidate: Candidate, pace: Pace) -> tuple[DecoderRow, ...]:
    """A row, by the first of our own engines' workers; none where there is no such engine, or no such stream."""
    own = next((kind.name for kind in kinds if not kind.dense), None)
    if own is None:
        return ()
    samples: list[float] = []
    symbols = 0
    try:
        for _ in range(pace.rounds):
            request = Streams(candidate.files.bundle, pace.warm_up_of(samples), pace.turn_s)
            symbols, more = crew.ask(own, request)
            samples += more
    except WorkerFailed as error:
        return (DecoderRow(candidate.name, crew.threads, 0, None, str(error)),)
    return (DecoderRow(candidate.name, crew.threads, symbols, summarize(samples), ""),) if symbols else ()
