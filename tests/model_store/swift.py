"""OpenStack Swift with s3api on the loopback: a real object store that checks signatures, for tests marked s3_real.

CSRVE_SWIFT names a virtual environment with `swift` of PyPI in it (it wants versions of its own). One device, one
replica, four processes, all below one folder, whose file system must keep extended attributes.
"""

import os
import pwd
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.model_store.s3_servers import BUCKET

_BIN = Path(os.environ.get("CSRVE_SWIFT", "/nonexistent")) / "bin"
REASON_MISSING = "" if (_BIN / "swift-proxy-server").exists() else "swift is not installed: CSRVE_SWIFT names no venv"
_BACKENDS = ("account", "container", "object")
_PIPELINE = (
    "catch_errors cache listing_formats s3api tempauth copy slo dlo versioned_writes symlink proxy-server"  # in order
)
_FILTERS = {
    **{name: name for name in ("catch_errors", "listing_formats", "copy", "slo", "dlo", "versioned_writes", "symlink")},
    "cache": "memcache",
    "s3api": "s3api\nlocation = us-east-1",
    "tempauth": "tempauth\nuser_test_tester = testsecret .admin",
}
START_S = 60.0


@contextmanager
def swift_server(root: Path) -> Iterator[int]:
    """The port of a running proxy whose account test:tester has the bucket. Skips where it does not start."""
    ports = dict(zip((*_BACKENDS, "proxy"), _free_ports(4), strict=True))
    _configure(root, ports)
    processes = []
    try:
        with (root / "log").open("wb") as log:
            for name in ports:
                command = [str(_BIN / "python"), str(_BIN / f"swift-{name}-server"), str(root / f"{name}.conf")]
                processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        _make_bucket(ports["proxy"], root)
        yield ports["proxy"]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


def _configure(root: Path, ports: Mapping[str, int]) -> None:
    (root / "devices" / "d1").mkdir(parents=True)
    (root / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_prefix = a\nswift_hash_path_suffix = b\n"
        "[storage-policy:0]\nname = only\ndefault = yes\n"
    )
    user = pwd.getpwuid(os.getuid()).pw_name
    for name, port in ports.items():
        general = (
            f"[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {port}\nworkers = 0\nuser = {user}\nswift_dir = {root}\n"
        )
        if name == "proxy":
            filters = "".join(f"[filter:{key}]\nuse = egg:swift#{value}\n" for key, value in _FILTERS.items())
            app = f"[pipeline:main]\npipeline = {_PIPELINE}\n{filters}[app:proxy-server]\nuse = egg:swift#proxy\n"
            app += "account_autocreate = true\n"
        else:
            general += f"devices = {root / 'devices'}\nmount_check = false\n"
            app = f"[pipeline:main]\npipeline = {name}-server\n[app:{name}-server]\nuse = egg:swift#{name}\n"
            _ring(root / f"{name}.builder", port)
        (root / f"{name}.conf").write_text(general + app)


def _ring(builder: Path, port: int) -> None:
    device = ["--region", "1", "--zone", "1", "--ip", "127.0.0.1", "--port", str(port), "--device", "d1"]
    for step in (["create", "4", "1", "1"], ["add", *device, "--weight", "1"], ["rebalance"]):
        command = [str(_BIN / "python"), str(_BIN / "swift-ring-builder"), str(builder), *step]
        subprocess.run(command, check=True, capture_output=True, timeout=60)


def _make_bucket(port: int, root: Path) -> None:
    """Wait until the proxy and what is behind it answer, and make the bucket. Skips where they never do."""
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="test:tester",
        aws_secret_access_key="testsecret",
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
    deadline_s = time.monotonic() + START_S
    try:
        while time.monotonic() < deadline_s:
            try:
                client.create_bucket(Bucket=BUCKET)
                return
            except (BotoCoreError, ClientError):
                time.sleep(0.5)
    finally:
        client.close()
    pytest.skip(f"swift did not start: {(root / 'log').read_text()[-500:]}")


def _free_ports(count: int) -> list[int]:
    with_sockets = [socket.socket() for _ in range(count)]
    try:
        for each in with_sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in with_sockets]
    finally:
        for each in with_sockets:
            each.close()
