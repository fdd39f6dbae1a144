"""All services started, their turns interleaved, then each flooded alone."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from model_store.bundle import decode_bundle, digest_of
from model_store.errors import BundleError
from service.bench.surroundings import now, processor, versions
from service.bench_serve.load import Load, apply_load, generator
from service.bench_serve.overload import PROBE_RATE, flood
from service.bench_serve.pictures import draw_pictures
from service.bench_serve.ports import free_port
from service.bench_serve.report import FORMAT, OverloadRow, Report, Row, Service
from service.bench_serve.requests import as_they_are
from service.bench_serve.servers import FORMS, OWN, PEERS, REPLICAS, Server, command_of, left_out, running
from service.errors import BenchError

PICTURES = 16
WARM_UP_S = 1
WARM_UPS_S = {"bentoml": 20}  # it learns how long batches take
RECOVERY_S = 10.0  # given up after that
PROBE_S = 0.5

_Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be measured.

    Attributes:
        bundle: STORE/NAME/VERSION.csrve.
        turn_s: whole seconds, as wrk counts.
        factors: of the overload, in multiples of what a service can answer; none for no overload.
        flood_s: how long each lasts.
        peers_too: whether the others are overloaded as well.
        bentoml: the interpreter of an environment that has BentoML; None leaves it out.

    Raises:
        BenchError: a value is outside its range, or the bundle lies in no store.
    """

    bundle: Path
    connections: tuple[int, ...]
    rounds: int
    turn_s: int
    seed: int
    factors: tuple[float, ...]
    command: str
    flood_s: float = 3.0
    peers_too: bool = True
    bentoml: Path | None = None

    def __post_init__(self) -> None:
        ranges = [("rounds", self.rounds, 100), ("turn_s", self.turn_s, 600), ("flood_s", self.flood_s, 3600)]
        for name, value, high in ranges + [("connections", number, 1024) for number in self.connections]:
            if not 1 <= value <= high:
                raise BenchError(f"{name} {value}, must be in 1..{high}")
        if self.bundle.suffix != ".csrve" or not self.bundle.stem.isdecimal():
            raise BenchError(f'"{self.bundle}", must be STORE/NAME/VERSION.csrve')


def measure(job: Job, tell: Callable[[str], object]) -> Report:
    """Measure. `tell` gets a line now and then.

    Raises:
        BenchError: there is no such bundle, or a service does not start.
    """
    try:
        data = job.bundle.read_bytes()
        bundle = decode_bundle(data)
    except (OSError, BundleError) as error:
        raise BenchError(f'"{job.bundle}": {getattr(error, "strerror", None) or error}') from None
    pictures = draw_pictures(PICTURES, bundle.preprocessing, job.seed)
    cores = sorted(os.sched_getaffinity(0))  # of the services, and of the requests
    missing = left_out(job.bentoml)
    names = [name for name in (OWN, REPLICAS, *PEERS) if name not in missing]
    started = now()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = []
        for name in names:
            tell(f"starting {name}")
            servers.append(stack.enter_context(_start(name, job, pictures, cores)))

        def turn(server: Server, connections: int, duration_s: float) -> Load:
            with _at_work(server):
                return apply_load(server.port, server.requests, connections, duration_s, cores, folder)

        rows = summarize(_take_turns(job, servers, turn, tell))
        flooded = _flood_all(job, servers, rows, tell)
    return Report(
        FORMAT,
        job.command,
        started,
        processor(),
        versions(),
        str(job.bundle),
        digest_of(data),
        len(data),
        generator(),
        cores,
        cores,
        job.rounds,
        job.turn_s,
        job.seed,
        missing,
        [Service(server.name, server.cold_start_s, server.rest_bytes) for server in servers],
        rows,
        flooded,
    )


def summarize(loads: Mapping[_Key, Sequence[Load]]) -> list[Row]:
    """A row for each service and number of connections: medians of the rounds, failures in all."""
    rows = []
    for (name, connections), turns in loads.items():
        rates = [load.rate for load in turns]
        p50_ms, p99_ms = (statistics.median(getattr(load, key) for load in turns) for key in ("p50_ms", "p99_ms"))
        failures = sum(load.failures for load in turns)
        rows.append(Row(name, connections, rates, p50_ms, p99_ms, failures, statistics.median(rates)))
    return rows


def _start(name: str, job: Job, pictures: Sequence[bytes], cores: Sequence[int]) -> AbstractContextManager[Server]:
    port = free_port()
    model, store, version = job.bundle.parent.name, job.bundle.parent.parent, int(job.bundle.stem)
    requests = FORMS.get(name, as_they_are)(pictures)
    command = command_of(name, store, model, version, port, len(cores), job.bentoml)
    return running(name, command, port, requests, cores)


def _take_turns(
    job: Job,
    servers: Sequence[Server],
    turn: Callable[[Server, int, float], Load],
    tell: Callable[[str], object],
) -> dict[_Key, list[Load]]:
    loads: dict[_Key, list[Load]] = {}
    for server in servers:
        turn(server, max(job.connections), WARM_UPS_S.get(server.name, WARM_UP_S))
    for connections in job.connections:
        for number in range(job.rounds):
            for server in servers:
                load = turn(server, connections, job.turn_s)
                loads.setdefault((server.name, connections), []).append(load)
                tell(f"{server.name}, {connections} connections, round {number + 1}: {load.rate:.0f}/s")
    return loads


def _flood_all(
    job: Job, servers: Sequence[Server], rows: Sequence[Row], tell: Callable[[str], object]
) -> list[OverloadRow]:
    found = []
    for factor in job.factors:
        for server in servers if job.peers_too else servers[:1]:
            capacity = max(1.0, next(row.rate for row in reversed(rows) if row.name == server.name))
            tell(f"{server.name}, {factor:g} times {capacity:.0f}/s")
            with _at_work(server):
                ended = flood(server.port, server.requests, factor * capacity, job.flood_s)
                recovery_s = _recover(server, PROBE_RATE * capacity)
            counts = (ended.accepted, ended.refused, ended.broken, ended.unsent)
            rates = (factor * capacity, ended.goodput)
            found.append(OverloadRow(server.name, factor, *rates, *counts, ended.p99_ms, recovery_s))
    return found


@contextmanager
def _at_work(server: Server) -> Iterator[None]:
    """Its turn: the others stand still."""
    server.resume()
    try:
        yield
    finally:
        server.pause()


def _recover(server: Server, rate: float) -> float | None:
    """Seconds until a whole probe is accepted; None where none is in time."""
    began_s = time.perf_counter()
    while (waited_s := time.perf_counter() - began_s) < RECOVERY_S:
        probe = flood(server.port, server.requests, rate, PROBE_S)
        if probe.accepted == probe.due:
            return waited_s
    return None
