"""`results`: README's table and docs/results.md from the records."""

import argparse
from pathlib import Path

from compressor.results import write_results

NAME = "results"
SUMMARY = "Make README's table and docs/results.md anew from the recorded runs."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--records", type=Path, default=Path("docs/results"), help="folder of records (*.json)")
    parser.add_argument("--page", type=Path, default=Path("docs/results.md"))
    parser.add_argument("--readme", type=Path, default=Path("README.md"))


def run(options: argparse.Namespace) -> None:
    write_results(options.records, options.page, options.readme)
    print(f"{options.page} and {options.readme}: made from {options.records}")
