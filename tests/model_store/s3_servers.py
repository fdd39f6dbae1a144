"""S3 APIs on the loopback for tests: moto's server in this process, and what makes obstore find it."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from moto.moto_server.threaded_moto_server import ThreadedMotoServer

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
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        port = server.get_host_and_port()[1]
        make = urllib.request.Request(f"http://127.0.0.1:{port}/{BUCKET}", method="PUT")
        with urllib.request.urlopen(make, timeout=20):
            pass
        yield port
    finally:
        server.stop()
