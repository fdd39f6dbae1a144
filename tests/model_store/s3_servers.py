"""S3 APIs on the loopback for tests: moto's in this process, and what makes obstore find one."""

import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Lock, Thread
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

BUCKET = "csrve-tests"


def environment_of(port: int, key: str = "test:tester", secret: str = "testsecret") -> dict[str, str]:
    """Variables that lead obstore to an S3 API on this machine."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": "us-east-1",
    }


@contextmanager
def moto_server() -> Iterator[int]:
    """The port of a running server that has the bucket."""
    application, one_at_a_time = DomainDispatcherApplication(create_backend_app), Lock()

    def atomic(environ: Any, start_response: Any) -> Iterable[bytes]:
        """moto looks whether an object is there, and writes it then; S3 does both in one step."""
        with one_at_a_time:
            answer: Iterable[bytes] = application(environ, start_response)
            return answer

    server = make_server("127.0.0.1", 0, atomic, threaded=True, request_handler=MotoRequestHandler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        make = urllib.request.Request(f"http://127.0.0.1:{server.server_port}/{BUCKET}", method="PUT")
        with urllib.request.urlopen(make, timeout=20):
            pass
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
