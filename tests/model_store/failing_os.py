"""A stand-in for the `os` that model_store/folder.py calls, which counts system calls and lets one of them go wrong."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SYSTEM_CALLS = frozenset(
    {
        "chmod",
        "close",
        "fchmod",
        "fstat",
        "fsync",
        "link",
        "mkdir",
        "open",
        "read",
        "replace",
        "scandir",
        "stat",
        "unlink",
        "write",
    }
)


@dataclass
class FailingOs:
    """Counts the calls; hands those from number `at` on (only that one, unless `persistent`) to `fail`."""

    fail: Callable[[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
    at: int
    persistent: bool = False
    calls: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        if name not in SYSTEM_CALLS:
            return getattr(os, name)

        def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append(name)
            number = len(self.calls)
            if number == self.at or (self.persistent and number > self.at):
                return self.fail(name, getattr(os, name), arguments, options)
            return getattr(os, name)(*arguments, **options)

        return call

    @property
    def reached(self) -> bool:
        return len(self.calls) >= self.at


def raise_error(number: int) -> Callable[..., Any]:
    """The call does not happen. A close happens always: Linux frees the descriptor whatever close answers."""

    def fail(name: str, call: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if name == "close":
            call(*arguments)
        raise OSError(number, os.strerror(number))

    return fail


def raise_afterwards(number: int) -> Callable[..., Any]:
    """The call happens, and fails all the same, as over a network whose answer is lost. Not for what gives a result."""

    def fail(name: str, call: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if name not in {"open", "scandir"}:
            call(*arguments, **options)
        raise OSError(number, os.strerror(number))

    return fail


def write_short(name: str, call: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """A write takes one byte only; any other call is as ever."""
    if name == "write":
        return call(arguments[0], bytes(arguments[1])[:1])
    return call(*arguments, **options)


def kill_process(name: str, call: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """The process ends before the call."""
    os.kill(os.getpid(), signal.SIGKILL)
