"""nginx's configuration is that of deploy/, but for ports and temporary files; all of it really serves, and ends."""

import http.client
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.bench_serve.ports import free_port
from service.bench_serve.replicas import CONFIGURATION, configuration
from service.bench_serve.servers import REPLICAS, command_of, left_out
from tests.service.drawings import png


def test_only_ports_and_places_change() -> None:
    text = CONFIGURATION.read_text()
    made = configuration(text, 9000, [9001, 9002, 9003], Path("/there"))
    assert re.findall(r"server 127[.]0[.]0[.]1:(\d+)", made) == ["9001", "9002", "9003"]
    assert "listen 127.0.0.1:9000;" in made
    assert "/tmp/" not in made
    assert made.count("/there/nginx") == text.count("/tmp/csrve-nginx")
    assert "least_conn;" in made


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert left_out()[REPLICAS] == "needs nginx, and the deploy/ of a checkout"


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_they_answer_and_end_together(published: Path) -> None:
    port = free_port()
    process = subprocess.Popen(command_of(REPLICAS, published, "colour", 2, port, 2), start_new_session=True)
    try:
        until_s = time.monotonic() + 60
        while (status := _ask(port)) != 200:
            assert time.monotonic() < until_s, status
            time.sleep(0.05)
    finally:
        process.terminate()
        assert process.wait(30) == 0
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # nobody of them is left


def _ask(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", "/predict", png(), {"Content-Type": "image/png"})
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def test_the_module_is_what_the_command_starts() -> None:
    assert command_of(REPLICAS, Path("s"), "m", 1, 80, 2)[:3] == [sys.executable, "-m", "service.bench_serve.replicas"]
