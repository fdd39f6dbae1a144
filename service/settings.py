"""What the service can be told, by flags of `python -m service` or CSRVE_* variables; the defaults stand here only.

A dataclass and argparse, not pydantic-settings: each setting stands once, with its type, default and help, and that
gives the flag, the variable, `--help`, the log's line and the table in docs/serving.md. What pydantic-settings adds
(.env files, secrets folders, nested models) nobody needs of two dozen plain values, and it would take something away: a
mistake is one line that names the setting, its value and the rule, not a report of a validation; and there is one
dependency less to import before anything is served.
"""

import argparse
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

from model_store.errors import InvalidName
from model_store.names import check_model_name
from model_store.references import Reference, parse_reference
from service.errors import SettingsError
from service.precisions import PRECISIONS
from service.splits import Split, parse_splits


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _option(default: Any, explanation: str, *, secret: bool = False) -> Any:
    if callable(default):
        return field(default_factory=default, metadata={"help": explanation})
    return field(default=default, metadata={"help": explanation}, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, checked.

    Raises:
        SettingsError: a value is outside its range.
    """

    store: str | Path = field(metadata={"help": "the bundles to serve: a folder, or an s3://, gs:// or az:// URL"})
    host: str = _option("127.0.0.1", "address to listen on")
    port: int = _option(8000, "port to listen on; 0 takes a free one")
    device: str = _option("cpu", "cpu, cuda, or cuda:N")
    precision: str = _option("float32", "of dense layers on a GPU: float32, tf32 or bfloat16")
    threads: int = _option(available_cores, "threads of one batch, and of decoding pictures")
    default_model: str = _option("", "the model that answers where a request names none")
    canary: str = _option("", "MODEL=CANDIDATE@SHARE,...: this share of MODEL's requests is answered by CANDIDATE")
    shadow: str = _option("", "MODEL=CANDIDATE@SHARE,...: this share of MODEL's pictures is shown to CANDIDATE too")
    max_body_bytes: int = _option(8 << 20, "largest request body")
    max_header_bytes: int = _option(16_384, "largest head of a request, its line and headers; more is refused with 431")
    max_pixels: int = _option(1 << 22, "most pixels of a picture")
    max_batch: int = _option(16, "most pictures in one run of the engine")
    parallel_batches: int = _option(1, "runs of the engine at once, of different models, each on --threads threads")
    queue_limit: int = _option(64, "most pictures waiting for one version of a model; more are refused with 503")
    request_limit: int = _option(128, "most predictions in the house, uploads included; more are refused with 503")
    refusals_per_s: int = _option(500, "refusals a second for want of room; more wait for theirs, about a second")
    preload: str = _option("all", "loaded at start: all (models, their latest version), none, or MODEL[:VERSION],...")
    max_resident_bytes: int = _option(1 << 30, "most bytes that loaded models hold; those used longest ago go first")
    poll_s: float = _option(2.0, "how often the store is looked at for new versions; 0 for never")
    head_timeout_s: float = _option(10.0, "a connection whose request's head takes longer is closed")
    upload_timeout_s: float = _option(10.0, "a body that takes longer is refused with 408")
    deadline_s: float = _option(10.0, "a prediction that takes longer, from its body on, is refused with 504")
    drain_delay_s: float = _option(0.5, "how long after SIGTERM /readyz says 503 before connections are refused")
    grace_s: float = _option(10.0, "how long requests in flight may take after that")
    log_level: str = _option("info", "debug, info, warning or error")
    tracing: str = _option("off", "off, or otlp: spans go where the OTEL_* variables say; needs the extra otel")
    admin_token: str = _option(
        "",
        "who sends it may load and unload models; nobody may without one (the variable hides it from ps)",
        secret=True,
    )

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise SettingsError(f"{name} {value}, must be in {low}..{high}")
        if self.device != "cpu" and self.device.partition(":")[0] != "cuda":
            raise SettingsError(f'device "{self.device}", must be cpu, cuda or cuda:N')
        if self.precision not in PRECISIONS:
            raise SettingsError(
                f'precision "{self.precision}", must be {", ".join(PRECISIONS[:-1])} or {PRECISIONS[-1]}'
            )
        if self.log_level not in {"debug", "info", "warning", "error"}:
            raise SettingsError(f'log_level "{self.log_level}", must be debug, info, warning or error')
        if self.tracing not in {"off", "otlp"}:
            raise SettingsError(f'tracing "{self.tracing}", must be off or otlp')
        if self.admin_token and not _TOKEN.fullmatch(self.admin_token):
            raise SettingsError("admin_token: must be 16..256 ASCII characters, none of them a space")  # never shown
        try:
            if self.default_model:
                check_model_name(self.default_model)
            self.preloaded()
            self.splits()
        except InvalidName as error:
            raise SettingsError(str(error)) from None

    def preloaded(self) -> list[Reference]:
        """The versions that `preload` names one by one; none where it is "all" or "none"."""
        return [] if self.preload in {"all", "none"} else [parse_reference(text) for text in self.preload.split(",")]

    def splits(self) -> list[Split]:
        """The canaries and the shadows."""
        return [*parse_splits("canary", self.canary), *parse_splits("shadow", self.shadow)]

    def told(self) -> dict[str, object]:
        """Every setting by name, for the log; of a token only whether there is one."""
        values = {option.name: getattr(self, option.name) for option in fields(self)}
        return {name: bool(value) if name.endswith("_token") else value for name, value in values.items()}


_TOKEN = re.compile(r"[!-~]{16,256}")
_RANGES: tuple[tuple[str, float, float], ...] = (
    ("port", 0, 65_535),
    ("threads", 1, 1024),
    ("max_body_bytes", 1, 1 << 30),
    ("max_header_bytes", 256, 1 << 20),
    ("max_pixels", 1, 1 << 28),
    ("max_batch", 1, 1024),
    ("parallel_batches", 1, 64),
    ("queue_limit", 1, 65_536),
    ("request_limit", 1, 65_536),
    ("refusals_per_s", 0, 1_000_000),
    ("max_resident_bytes", 1, 1 << 50),
    ("poll_s", 0, 86_400),
    ("head_timeout_s", 0.01, 3600),
    ("upload_timeout_s", 0.01, 3600),
    ("deadline_s", 0.01, 3600),
    ("drain_delay_s", 0, 600),
    ("grace_s", 0.1, 3600),
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(message)


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Settings from flags, else from CSRVE_* variables, else the defaults. `--help` prints them and exits.

    Raises:
        SettingsError: an unknown flag, a value that cannot be read or is outside its range, or no store.
    """
    given = vars(_parser().parse_args(arguments))
    types = get_type_hints(Settings)
    values: dict[str, Any] = {}
    for name, kind in types.items():
        variable = f"CSRVE_{name.upper()}"
        text = given[name] if given[name] is not None else environment.get(variable)
        if text is not None and (text or name != "store"):
            values[name] = _parse(name, kind, text)
    if "store" not in values:
        raise SettingsError("store missing: give --store DIR or CSRVE_STORE")
    return Settings(**values)


def _parse(name: str, kind: Any, text: str) -> Any:
    if name == "store":
        return text if "://" in text else Path(text)
    try:
        return kind(text)
    except ValueError:
        noun = {int: "a whole number", float: "a number"}.get(kind, "text")
        raise SettingsError(f'{name} "{text}", must be {noun}') from None


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m service",
        description="Serve the bundles of a store over HTTP.",
        epilog="Each flag can also be given as a variable: --max-batch as CSRVE_MAX_BATCH. "
        "To measure instead of serving: python -m service bench --help (engines), bench-serve --help (whole services).",
        allow_abbrev=False,
    )
    for option in fields(Settings):
        flag = f"--{option.name.replace('_', '-')}"
        told = isinstance(option.default, int | float | str) and option.default != ""
        default = f" (default {option.default})" if told else ""
        parser.add_argument(flag, metavar="VALUE", help=option.metadata["help"] + default)
    return parser
