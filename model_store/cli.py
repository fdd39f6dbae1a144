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
from typing import get_args

from model_store.bundle import Bundle, decode_bundle, recode
from model_store.description import describe, render_description, render_table
from model_store.encoder import CodingChoice
from model_store.errors import BundleError, InvalidName, StoreError, StoreUnavailable
from model_store.findings import Finding
from model_store.folder import Folder
from model_store.interface import BundleStore
from model_store.limits import MAX_BUNDLE_BYTES
from model_store.names import check_version
from model_store.opening import create_store, open_store
from model_store.references import parse_reference
from model_store.store_commands import add_collecting, add_copying, gc, pull, push
from model_store.stream_costs import render_stream_costs, stream_costs

STORE_VARIABLE = "CSRVE_STORE"
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
    _add_writing(command)
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
        command("push", lambda options: push(options, _store_place(options)), "Copy models to another store."),
        command("pull", lambda options: pull(options, _store_place(options)), "Copy models from another store."),
    )
    add_collecting(
        command(
            "gc", lambda options: gc(options, _store_place(options)), "Remove from a store by URL what nothing names."
        )
    )


def _add_writing(command: _Command) -> None:
    exporting = command("export", _export, "Write a bundle's network, dense, in another format.")
    exporting.add_argument("bundle", help="FILE, NAME, NAME:VERSION or NAME:ALIAS")
    exporting.add_argument("--format", required=True, choices=sorted(_EXPORTS))
    recoding = command(
        "recode", _recode, "Write a bundle anew, coded otherwise: the same weights, the same provenance."
    )
    recoding.add_argument("bundle", help="FILE, NAME, NAME:VERSION or NAME:ALIAS")
    recoding.add_argument("--coder", default="huffman", choices=get_args(CodingChoice), help="(default: huffman)")
    for writing in (exporting, recoding):
        writing.add_argument("--output", required=True, type=Path)
        writing.add_argument("--force", action="store_true", help="replace an existing file")


def _list(options: argparse.Namespace) -> int:
    store = _open_store(options)
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
    data = _read(options)
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
        findings = _open_store(options).verify()
    else:
        findings = [Finding(options.bundle, None, _problem_of(_read(options)))]
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
    data = _read_file(options.file)
    version = None if options.version is None else check_version(options.version)
    stored = create_store(_store_place(options)).publish(options.name, data, version)
    print(f"{stored.name}:{stored.version}: published, {len(stored.data)} bytes, sha256 {stored.sha256}")
    return 0


def _alias(options: argparse.Namespace) -> int:
    store, name, alias = _open_store(options), options.name, options.alias
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
    _open_store(options).remove(reference.name, reference.selector)
    print(f"{reference}: removed")
    return 0


def _export(options: argparse.Namespace) -> int:
    _write(options, _EXPORTS[options.format](decode_bundle(_read(options))))
    return 0


def _recode(options: argparse.Namespace) -> int:
    before = _read(options)
    _write(options, recode(before, options.coder))
    return 0


def _write(options: argparse.Namespace, data: bytes) -> None:
    """Make the file that the command line names, and say so."""
    output: Path = options.output
    if output.name in {"", ".."}:
        raise StoreUnavailable(f'"{output}": must be a file')
    with Folder.opened(_resolve(output.parent)) as folder, folder.staged(output.name, data, 0o666) as temporary:
        if options.force:
            folder.replace(temporary, output.name)
        else:
            try:
                folder.link(temporary, output.name)
            except FileExistsError:
                raise StoreUnavailable(f'"{output}": exists, must be new (or give --force)') from None
    print(f"{output}: {len(data)} bytes")


def _to_safetensors(bundle: Bundle) -> bytes:
    try:
        from model_store.export_safetensors import export_safetensors
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    return export_safetensors(bundle)


def _to_onnx(bundle: Bundle) -> bytes:
    try:
        from model_store.export_onnx import export_onnx
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    return export_onnx(bundle)


# The packages are imported when needed: serving machines do not have them.
_EXPORTS: dict[str, Callable[[Bundle], bytes]] = {"safetensors": _to_safetensors, "onnx": _to_onnx}


def _missing(error: ModuleNotFoundError) -> StoreError:
    return StoreError(f"export: the package {error.name!r} is missing, must be installed: pip install 'csrve[export]'")


def _read(options: argparse.Namespace) -> bytes:
    """The bytes of the bundle that the command line names."""
    if "/" in options.bundle or options.bundle.endswith(".csrve"):
        return _read_file(Path(options.bundle))
    reference, store = parse_reference(options.bundle), _open_store(options)
    version = store.resolve(reference.name, reference.selector) if reference.selector is not None else None
    return store.read(reference.name, version).data


def _read_file(path: Path) -> bytes:
    resolved = _resolve(path)
    try:
        with Folder.opened(resolved.parent) as folder:
            return folder.read(resolved.name, MAX_BUNDLE_BYTES)
    except FileNotFoundError:
        raise StoreUnavailable(f'"{path}": no such file') from None


def _resolve(path: Path) -> Path:
    """The path without links: what the user names may be behind some."""
    try:
        return path.resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise StoreUnavailable(f'"{path}": {getattr(error, "strerror", None) or error}') from error


def _open_store(options: argparse.Namespace) -> BundleStore:
    return open_store(_store_place(options))


def _store_place(options: argparse.Namespace) -> str:
    if not options.store:
        raise StoreUnavailable(f"no store named: give --store DIR, or set {STORE_VARIABLE}")
    return str(options.store)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
