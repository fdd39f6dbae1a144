"""`python -m service --store DIR`: start the service, or say in one line why not (exit status 2).

`python -m service bench` times the engines instead, `python -m service bench-serve` whole services.
"""

import os
import socket
import sys
from collections.abc import Sequence

from service.errors import SettingsError
from service.settings import Settings, read_settings

_BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def main(arguments: Sequence[str]) -> int:
    """Run the service, or the command that comes first. Returns the exit status."""
    if arguments[:1] == ["bench"]:
        from service.bench import command

        return command.main(arguments[1:])
    if arguments[:1] == ["bench-serve"]:
        from service.bench_serve import command as serving

        return serving.main(arguments[1:])
    try:
        settings = read_settings(arguments, os.environ)
        _check_port(settings)
        _limit_threads(settings.threads)
        # Only now: numpy's BLAS reads its number of threads when it is imported.
        from service.app import build_app
        from service.logs import configure_logs, log
        from service.server import run_server

        configure_logs(settings.log_level)
        app = build_app(settings)
        log("settings", settings.told())
    except SettingsError as error:
        print(f"csrve: {error}", file=sys.stderr)
        return 2
    run_server(app, settings)
    return 0


def _limit_threads(threads: int) -> None:
    for variable in _BLAS_VARIABLES:
        os.environ.setdefault(variable, str(threads))


def _check_port(settings: Settings) -> None:
    """Fail in one line, before the models are loaded, where the address cannot be listened on."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:  # the latter: no host's name at all
        reason = error.strerror if isinstance(error, OSError) else "not a host's name"
        raise SettingsError(f"{settings.host}:{settings.port}: {reason}, cannot listen there") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
