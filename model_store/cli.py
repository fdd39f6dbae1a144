"""`python -m model_store ls|show|verify|publish|alias|rm|push|pull|gc|export|recode`.

Look into a store, and change what it holds; `--store` takes a folder or a URL.

A bundle is named by a file (a path that has a "/" or ends in .csrve), or as NAME, NAME:VERSION or NAME:ALIAS of the
store.
Exit codes: 0 all well; 1 `verify` found a problem; 2 it could not be done, and one line on stderr says why.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from model_store.bundle import decode_bundle
from model_store.description import describe, render_description, render_table
from model_store.errors import BundleError, InvalidName, StoreError, StoreUnavailable
from model_store.findings import Finding
from model_store.interface import BundleStore
from model_store.named import STORE_VARIABLE, opened_store, read_bundle, read_file, store_place
from model_store.names import check_version
from model_store.opening import create_store
from model_store.references import parse_reference
from model_store.store_commands import add_collecting, add_copying, gc, pull, push
from model_store.stream_costs import render_stream_costs, stream_costs
from model_store.writing_commands import add_writing, export, recode

_LIST_COLUMNS = ("architecture", "accuracy", "sparsity", "dense_bytes", "bundle_bytes", "compression_ratio")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except StoreError as error:
        print(f"model_store: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output left, as `head` does: no more output, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2


_Command = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
"""Adds a command: its name, what runs, what it is for."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model_store", description="Look into a store, and change it.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        store = os.environ.get(STORE_VARIABLE)
        added.add_argument("--store", default=store, help=f"its folder or URL (default: ${STORE_VARIABLE})")
        added.set_defaults(run=run)
        return added

    _add_looking(command)
    _add_changing(command)
    add_writing(
        command("export", export, "Write a bundle's network, dense, in another format."),
        command("recode", recode, "Write a bundle anew, coded otherwise: the same weights, the same provenance."),
    )
    return parser


def _add_looking(command: _Command) -> None:
    listing = command("ls", _list, "List models, their versions and sizes.")
    listing.add_argument("--json", action="store_true", help="print JSON")
    showing = command("show", _show, "Print what a bundle is, and where its bytes go.")
    showing.add_argument("bundle", help="FILE, NAME, NAME:VERSION or NAME:ALIAS")
    showing.add_argument("--json", action="store_true", help="print JSON")
    showing.add_argument(
        "--streams", action="store_true", help="also each stream's entropy, and what the other coder would take"
    )
    verifying = command("verify", _verify, "Decode one bundle, or everything in the store.")
    verifying.add_argument(
        "bundle", nargs="?", help="FILE, NAME, NAME:VERSION or NAME:ALIAS (default: the whole store)"
    )


def _add_changing(command: _Command) -> None:
    publishing = command("publish", _publish, "Add a bundle to the store, which is made where it is missing.")
    publishing.add_argument("file", type=Path)
    publishing.add_argument("name", help="the model's name")
    publishing.add_argument("--version", help="a number (default: the one after the latest)")
    naming = command("alias", _alias, "List a model's aliases, or name a version so that the name can be moved later.")
    naming.add_argument("name", help="the model's name")
    naming.add_argument("alias", nargs="?", help="1..32 of [a-z0-9_-], a letter first")
    naming.add_argument("version", nargs="?", help="the number of the version it is to mean")
    naming.add_argument("--remove", action="store_true", help="remove the alias; its version stays")
    removing = command("rm", _remove, "Remove one version of a model.")
    removing.add_argument("bundle", help="NAME:VERSION")
    add_copying(
        command("push", lambda options: push(options, store_place(options)), "Copy models to another store."),
        command("pull", lambda options: pull(options, store_place(options)), "Copy models from another store."),
    )
    add_collecting(
        command(
            "gc", lambda options: gc(options, store_place(options)), "Remove from a store by URL what nothing names."
        )
    )


def _list(options: argparse.Namespace) -> int:
    store = opened_store(options)
    entries = [_list_entry(store, name, version) for name in store.models() for version in store.versions(name)]
    if options.json:
        print(json.dumps(entries, indent=2))
        return 0
    rows = [
        [f"{entry['name']}:{entry['version']}", *(_cell(entry.get(column)) for column in _LIST_COLUMNS)]
        for entry in entries
    ]
    print("\n".join(render_table([["model", *_LIST_COLUMNS], *rows])))
    return 0


def _list_entry(store: BundleStore, name: str, version: int) -> dict[str, object]:
    """A version's figures; of one that is damaged only its place and what is wrong."""
    try:
        return {"name": name, "version": version, **describe(store.read(name, version).data).summary}
    except (BundleError, StoreUnavailable) as error:
        return {"name": name, "version": version, "architecture": "(damaged)", "problem": str(error)}


def _show(options: argparse.Namespace) -> int:
    data = read_bundle(options)
    description = describe(data)
    costs = stream_costs(data) if options.streams else None
    if options.json:
        streams = {} if costs is None else {"streams": [asdict(cost) for cost in costs]}
        print(json.dumps({**asdict(description), **streams}, indent=2))
        return 0
    print(render_description(description))
    if costs is not None:
        print(f"\n{render_stream_costs(costs)}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    if options.bundle is None:
        findings = opened_store(options).verify()
    else:
        findings = [Finding(options.bundle, None, _problem_of(read_bundle(options)))]
    for name, version, problem in findings:
        place = name if version is None else f"{name}:{version}"
        print(f"{place}: {problem or 'sound'}")
    return int(any(finding.problem for finding in findings))


def _problem_of(data: bytes) -> str | None:
    try:
        decode_bundle(data)
    except BundleError as error:
        return str(error)
    return None


def _publish(options: argparse.Namespace) -> int:
    data = read_file(options.file)
    version = None if options.version is None else check_version(options.version)
    stored = create_store(store_place(options)).publish(options.name, data, version)
    print(f"{stored.name}:{stored.version}: published, {len(stored.data)} bytes, sha256 {stored.sha256}")
    return 0


def _alias(options: argparse.Namespace) -> int:
    store, name, alias = opened_store(options), options.name, options.alias
    if alias is None:
        for known, version in store.aliases(name).items():
            print(f"{name}:{known}: version {version}")
    elif options.remove:
        store.remove_alias(name, alias)
        print(f"{name}:{alias}: removed")
    elif options.version is None:
        print(f"{name}:{alias}: version {store.resolve(name, alias)}")
    else:
        version = check_version(options.version)
        store.set_alias(name, alias, version)
        print(f"{name}:{alias}: version {version}")
    return 0


def _remove(options: argparse.Namespace) -> int:
    reference = parse_reference(options.bundle)
    if not isinstance(reference.selector, int):
        raise InvalidName(f'"{options.bundle}": must name a version to remove, as NAME:VERSION')
    opened_store(options).remove(reference.name, reference.selector)
    print(f"{reference}: removed")
    return 0


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
