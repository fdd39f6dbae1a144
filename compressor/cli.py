"""`python -m compressor train|compress|evaluate|show|profile|sensitivity|experiment|sweep|results|check|report`.

Exit codes: 0 done; 2 it could not be done, and one line on stderr says why; 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence

from compressor.commands import (
    check,
    compress,
    evaluate,
    experiment,
    profile,
    report,
    results,
    sensitivity,
    show,
    sweep,
    train,
)
from compressor.errors import CompressorError
from compressor.training.processes import joined_processes
from model_store.errors import StoreError

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        with joined_processes():
            options.run(options)
    except (CompressorError, StoreError, OSError) as error:  # OSError: a full disk, a file where a folder must be
        print(f"compressor: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("compressor: interrupted; resume with the same command", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m compressor", description="Train and compress image classifiers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (train, compress, evaluate, show, profile, sensitivity, experiment, sweep, results, check, report):
        added = commands.add_parser(command.NAME, help=command.SUMMARY, description=command.SUMMARY)
        command.add_arguments(added)
        added.set_defaults(run=command.run)
    return parser
