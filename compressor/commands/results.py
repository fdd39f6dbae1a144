"""`results`: README's table and docs/results.md from the records."""

import argparse
from pathlib import Path

from compressor.commands.options import add_store
from compressor.completion import complete_records
from compressor.results import write_results
from model_store.opening import open_store

NAME = "results"
SUMMARY = "Make README's table and docs/results.md anew from the recorded runs."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--records", type=Path, default=Path("docs/results"), help="folder of records (*.json)")
    parser.add_argument("--page", type=Path, default=Path("docs/results.md"))
    parser.add_argument("--readme", type=Path, default=Path("README.md"))
    add_store(parser, required=False)


def run(options: argparse.Namespace) -> None:
    """Add to older records what they lack, out of the bundles of a store, where one is given; write both documents."""
    if options.store is not None:
        for path in complete_records(options.records, open_store(options.store)):
            print(f"{path}: completed")
    write_results(options.records, options.page, options.readme)
    print(f"{options.page} and {options.readme}: made from {options.records}")
