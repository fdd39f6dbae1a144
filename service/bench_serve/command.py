"""`python -m service bench-serve`: measure services, print the page, save what was found; or print a saved run."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from service.bench.report import save_report
from service.bench_serve.measurement import Job, measure
from service.bench_serve.report import load_report, render_page
from service.errors import BenchError


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit status: 2 where it could not be done, and one line says why."""
    try:
        options = _parser().parse_args(arguments)
        if options.render:
            print(render_page(load_report(options.render)), end="")
            return 0
        if options.json and (options.json.is_dir() or not options.json.absolute().parent.is_dir()):
            raise BenchError(f'"{options.json}": must be a file in a folder that exists')
        command = shlex.join(["python", "-m", "service", "bench-serve", *arguments])
        factors = (1.0, 2.0, 5.0, 10.0) if options.overload else ()
        job = Job(
            options.bundle, options.connections, options.rounds, options.turn_s, options.seed, factors, command,
            options.flood_s, options.overload_peers, options.bentoml_python,
        )  # fmt: skip
        report = measure(job, lambda line: print(line, file=sys.stderr, flush=True))
        print(render_page(report), end="", flush=True)
        if options.json:
            save_report(report, options.json)
    except BenchError as error:
        print(f"csrve: {error}", file=sys.stderr)
        return 2
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BenchError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m service bench-serve",
        description="Requests a second, latency, memory and start of csrve beside other services.",
        allow_abbrev=False,
    )
    default = Path("store/resnet20-cifar10/1.csrve")
    parser.add_argument(
        "bundle", nargs="?", type=Path, default=default, help=f"STORE/NAME/VERSION.csrve (default {default})"
    )
    parser.add_argument("--connections", type=_numbers, default=(1, 8, 32), help="at once (default 1,8,32)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each service (default 5)")
    parser.add_argument("--turn-s", type=int, default=3, help="whole seconds of each (default 3)")
    parser.add_argument("--seed", type=int, default=0, help="of the pictures (default 0)")
    parser.add_argument("--overload", action="store_true", help="then 1, 2, 5 and 10 times what each can answer")
    parser.add_argument("--flood-s", type=float, default=3.0, help="seconds of each of those (default 3)")
    parser.add_argument(
        "--overload-peers", action=argparse.BooleanOptionalAction, default=True, help="whether the others are too"
    )
    parser.add_argument("--bentoml-python", type=Path, help="of an environment with bentoml, torch and pillow")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save what was found")
    parser.add_argument("--render", type=Path, metavar="FILE", help="print a saved run as Markdown, measure nothing")
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f'"{text}", must be whole numbers with commas between') from None
