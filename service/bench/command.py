"""`python -m service bench`: measure, print the tables, and save what was found; or print a saved run as a page."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from service.bench.catalog import CUDA_OWN, CUDA_PEERS, OWN, PEERS
from service.bench.job import Job
from service.bench.measurement import measure
from service.bench.page import render_page, render_text
from service.bench.report import load_report, save_report
from service.bench.rounds import Pace
from service.bench.synthetic import PROFILES
from service.errors import BenchError

_DEFAULT_ENGINES = {"cpu": ("native", "numpy"), "cuda": tuple(CUDA_OWN)}
_DEFAULT_PEERS = {"cpu": tuple(PEERS), "cuda": tuple(CUDA_PEERS)}


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit status: 2 where it could not be done, and one line says why."""
    try:
        options = _parser().parse_args(arguments)
        if options.render:
            _check_alone(options)
            print(render_page(load_report(options.render)), end="")
        else:
            _measure(options, arguments)
    except BenchError as error:
        print(f"csrve: {error}", file=sys.stderr)
        return 2
    return 0


def _measure(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    job = Job(
        tuple(options.network),
        _DEFAULT_ENGINES[options.device] if options.engines is None else options.engines,
        _DEFAULT_PEERS[options.device] if options.against is None else options.against,
        options.batch,
        options.threads,
        Pace(options.rounds, options.turn_s),
        options.seed,
        shlex.join(["python", "-m", "service", "bench", *arguments]),
        options.device,
    )
    if options.json:
        _check_writable(options.json)
    report = measure(job, lambda line: print(line, file=sys.stderr, flush=True))
    print(render_text(report), end="", flush=True)
    if options.json:
        save_report(report, options.json)


def _check_alone(options: argparse.Namespace) -> None:
    if options.network or options.json:
        raise BenchError("--render prints a saved run, and takes no networks and no --json")


def _check_writable(path: Path) -> None:
    """Before minutes of measuring, not after."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise BenchError(f'"{path}": must be a file in a folder that exists')


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BenchError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m service bench",
        description="Time our engines beside other people's, on the same graph and the same weights.",
        allow_abbrev=False,
    )
    networks = ", ".join(f"synthetic:{name}" for name in PROFILES)
    parser.add_argument("network", nargs="*", metavar="BUNDLE", help=f"a bundle's file, or one of {networks}")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="cuda measures on a GPU (default cpu)")
    own = (
        f"{', '.join(OWN)} (default {','.join(_DEFAULT_ENGINES['cpu'])}); with --device cuda {', '.join(CUDA_OWN)} too"
    )
    parser.add_argument("--engines", type=_names, help=own)
    others = f'{", ".join(PEERS)} (default all; "" none); with --device cuda {", ".join(CUDA_PEERS)} (the default) too'
    parser.add_argument("--against", type=_names, help=others)
    parser.add_argument("--batch", type=_numbers, default=(1, 16, 64), help="pictures at a time (default 1,16,64)")
    parser.add_argument("--threads", type=_numbers, default=(1, 2), help="threads of each engine (default 1,2)")
    pace = Pace()
    parser.add_argument("--rounds", type=int, default=pace.rounds, help=f"turns of each (default {pace.rounds})")
    parser.add_argument("--turn-s", type=float, default=pace.turn_s, help=f"seconds of each (default {pace.turn_s})")
    parser.add_argument("--seed", type=int, default=0, help="of pictures and synthetic weights (default 0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save what was found")
    parser.add_argument(
        "--render", type=Path, metavar="FILE", help="print a saved run as Markdown, and measure nothing"
    )
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f'"{text}", must be whole numbers with commas between') from None
