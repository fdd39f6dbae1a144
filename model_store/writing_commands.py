"""`python -m model_store export|recode`: a bundle's network in another format, or coded otherwise."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from model_store.bundle import Bundle, decode_bundle
from model_store.bundle import recode as recode_bundle
from model_store.encoder import CodingChoice
from model_store.errors import StoreError, StoreUnavailable
from model_store.folder import Folder
from model_store.named import read_bundle, resolved


def add_writing(exporting: argparse.ArgumentParser, recoding: argparse.ArgumentParser) -> None:
    """Add what the two commands take."""
    exporting.add_argument("--format", required=True, choices=sorted(_EXPORTS))
    recoding.add_argument("--coder", default="huffman", choices=get_args(CodingChoice), help="(default: huffman)")
    for writing in (exporting, recoding):
        writing.add_argument("bundle", help="FILE, NAME, NAME:VERSION or NAME:ALIAS")
        writing.add_argument("--output", required=True, type=Path)
        writing.add_argument("--force", action="store_true", help="replace an existing file")


def export(options: argparse.Namespace) -> int:
    """Write a bundle's network as `--format` says."""
    _write(options, _EXPORTS[options.format](decode_bundle(read_bundle(options))))
    return 0


def recode(options: argparse.Namespace) -> int:
    """Write a bundle anew, coded as `--coder` says."""
    before = read_bundle(options)
    _write(options, recode_bundle(before, options.coder))
    return 0


def _write(options: argparse.Namespace, data: bytes) -> None:
    """Make the file that the command line names, and say so."""
    output: Path = options.output
    if output.name in {"", ".."}:
        raise StoreUnavailable(f'"{output}": must be a file')
    with Folder.opened(resolved(output.parent)) as folder, folder.staged(output.name, data, 0o666) as temporary:
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
