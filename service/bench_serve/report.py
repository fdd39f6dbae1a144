"""What a run found, as it stands in the JSON file, and as a page of Markdown."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.errors import BenchError

FORMAT = 1
HEAD = """# Serving benchmarks

Made by `python -m service bench-serve --render FILE` from the JSON file that a run left; nothing is typed in by hand.
Whole services over loopback, the same network and the same PNG pictures: csrve from the bundle, the others from its
decoded weights, dense, in float32, with the same code that decodes pictures. *fastapi-torch* runs each picture in a
thread of the framework's; *fastapi-torch-batched* runs together what has come in meanwhile, at most 32; *litserve* has
a worker process that does, at most 16, and takes the pictures in base64, as it takes JSON only; so does *bentoml*, in
an environment of its own and after a longer warm-up, as its batching learns. *csrve-replicas* is one process for each
processor behind nginx, as docs/scaling.md has it.

- *requests/s*: answered with 2xx, the median of the rounds; each connection sends its next request when the last was
  answered. The services take turns, A B C A B C, after a warm-up of each that does not count.
- *p50*, *p99*: of all answers of a round; the medians of the rounds.
- *to the best other*: of somebody else's services.
- *failures*: answers other than 2xx, and requests without an answer, in all rounds.
- *cold start*: from the command to the first answer; the system has cached the files. *memory at rest*: resident, of
  all processes of the service, after that answer."""
OVERLOAD = """More requests than the service can answer: sent when they are due, at multiples of its requests/s with the
most connections above. *p99* is of accepted requests, from when they were due, so what the client itself lags behind
counts; *broken* had no answer within 5 s; *unsent* found none of the client's 512 connections free when it was due,
as refused requests wait for their answer (`--refusals-per-s`). *accepted/s* counts until the last of them was
answered or given up. *recovery*: from the end to the first round of 0.5 s in which every request, at half of the
requests/s, is accepted."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service at rest."""

    name: str
    cold_start_s: float
    rest_bytes: int


@dataclass(frozen=True, slots=True)
class Row:
    """One service under as many connections."""

    name: str
    connections: int
    rates: Sequence[float]
    p50_ms: float
    p99_ms: float
    failures: int
    rate: float


@dataclass(frozen=True, slots=True)
class OverloadRow:
    """One service that gets more requests than it can answer; recovery_s is None where it did not recover."""

    name: str
    factor: float
    offered: float
    goodput: float
    accepted: int
    refused: int
    broken: int
    unsent: int
    p99_ms: float
    recovery_s: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """All of it.

    Attributes:
        cores: that the services have; generator_cores: that the requests come from.
        left_out: service -> why it was not measured.
    """

    format: int
    command: str
    started: str
    processor: str
    versions: Mapping[str, str]
    network: str
    sha256: str
    bundle_bytes: int
    generator: str
    cores: Sequence[int]
    generator_cores: Sequence[int]
    rounds: int
    turn_s: float
    seed: int
    left_out: Mapping[str, str]
    services: Sequence[Service]
    rows: Sequence[Row]
    overload: Sequence[OverloadRow]


def load_report(path: Path) -> Report:
    """Raises BenchError where the file cannot be read or holds no report of this format."""
    try:
        return parse_report(json.loads(path.read_text()))
    except OSError as error:
        raise BenchError(f'"{path}": {error.strerror}') from None
    except (ValueError, TypeError, KeyError) as error:
        raise BenchError(f'"{path}": not a report of services ({error})') from None


def parse_report(data: Any) -> Report:
    """A report of its JSON. Raises ValueError, TypeError or KeyError where it is none."""
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']}, must be {FORMAT}")
    parts = {
        "services": [Service(**each) for each in data["services"]],
        "rows": [Row(**each) for each in data["rows"]],
        "overload": [OverloadRow(**each) for each in data["overload"]],
    }
    return Report(**data | parts)


def render_page(report: Report) -> str:
    """All of the Markdown page."""
    blocks = [HEAD, _conditions(report), f"    {report.command}", _rest(report), _closed(report)]
    if report.overload:
        blocks += ["## Overload", OVERLOAD, _overload(report)]
    return "\n\n".join(blocks) + "\n"


def _conditions(report: Report) -> str:
    shared = " (the same)" if set(report.cores) & set(report.generator_cores) else ""
    lines = [
        f"{report.processor}; services on {len(report.cores)} processors, "
        f"{report.generator} on {len(report.generator_cores)}{shared}",
        ", ".join(f"{package} {version}" for package, version in report.versions.items()),
        f"{report.network}, {report.bundle_bytes:,} bytes, SHA-256 {report.sha256[:16]}",
        f"{report.rounds} rounds, turns of {report.turn_s:g} s, seed {report.seed}, started {report.started}",
        *(f"left out: {name}: {reason}" for name, reason in report.left_out.items()),
    ]
    return "\n".join(f"- {line}" for line in lines)


def _rest(report: Report) -> str:
    rows = [[each.name, f"{each.cold_start_s:.2f}", f"{each.rest_bytes / 2**20:.0f}"] for each in report.services]
    return _markdown(["service", "cold start s", "memory at rest MiB"], rows)


def _is_ours(row: Row) -> bool:
    return row.name.startswith("csrve")


def _closed(report: Report) -> str:
    rows: list[list[str]] = []
    for row in report.rows:
        others = (
            other.rate
            for other in report.rows
            if other.connections == row.connections and other != row and not (_is_ours(other) and _is_ours(row))
        )
        best = max(others, default=0.0)
        ratio = f"{row.rate / best:.2f}x" if best else ""
        spread = f"{min(row.rates):.0f}..{max(row.rates):.0f}"
        times = [f"{row.p50_ms:.2f}", f"{row.p99_ms:.2f}"]
        rows.append([row.name, str(row.connections), f"{row.rate:.0f}", spread, *times, str(row.failures), ratio])
    head = ["service", "connections", "requests/s", "least..most", "p50 ms", "p99 ms", "failures", "to the best other"]
    return _markdown(head, rows)


def _overload(report: Report) -> str:
    rows = []
    for row in report.overload:
        counts = [str(count) for count in (row.accepted, row.refused, row.broken, row.unsent)]
        recovery = "none" if row.recovery_s is None else f"{row.recovery_s:.1f}"
        rates = [f"{row.factor:g}x", f"{row.offered:.0f}", f"{row.goodput:.0f}"]
        rows.append([row.name, *rates, *counts, f"{row.p99_ms:.0f}", recovery])
    head = ["service", "load", "offered/s", "accepted/s", "accepted", "refused", "broken", "unsent", "p99 ms"]
    return _markdown([*head, "recovery s"], rows)


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])
