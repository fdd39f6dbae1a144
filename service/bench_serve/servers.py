"""The services that are measured, each in a process of its own, confined to the same processors."""

import http.client
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from service.bench_serve.replicas import CONFIGURATION
from service.bench_serve.requests import Requests, in_json, in_lists
from service.errors import BenchError

OWN = "csrve"
REPLICAS = "csrve-replicas"
PEERS = {
    "fastapi-torch": ("service.bench_serve.torch_peers", "naive"),
    "fastapi-torch-batched": ("service.bench_serve.torch_peers", "batched"),
    "litserve": ("service.bench_serve.litserve_peer",),
    "bentoml": ("service.bench_serve.bentoml_peer",),
}
FORMS = {"litserve": in_json, "bentoml": in_lists}  # where a picture cannot be the body
ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 120.0
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Server:
    """One that answers.

    Attributes:
        requests: in the form that it takes.
        cold_start_s: from the command to the first answer to a picture.
        rest_bytes: resident memory of its processes, after that answer.
    """

    name: str
    port: int
    requests: Requests
    cold_start_s: float
    rest_bytes: int
    group: int

    def pause(self) -> None:
        """Stop its processes: some services are never idle, and it is another's turn."""
        os.killpg(self.group, signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        os.killpg(self.group, signal.SIGCONT)


def left_out(bentoml: Path | None = None) -> dict[str, str]:
    """Services that cannot be measured here, and why.

    Args:
        bentoml: the interpreter of an environment that has it.
    """
    missing = {} if bentoml else {"bentoml": "needs --bentoml-python: it pins other versions than the others have"}
    if shutil.which("nginx") is None or not CONFIGURATION.exists():
        missing[REPLICAS] = "needs nginx, and the deploy/ of a checkout"
    reason = "needs {}, which the extra bench installs"
    if find_spec("torch") is None:
        return missing | dict.fromkeys(PEERS, reason.format("torch"))
    return missing | ({"litserve": reason.format("litserve")} if find_spec("litserve") is None else {})


def command_of(
    name: str, store: Path, model: str, version: int, port: int, threads: int, bentoml: Path | None = None
) -> list[str]:
    """What starts a server. Of ours one thread reads and writes, so the engine has the others."""
    common = ["--port", str(port), "--threads", str(threads if name in PEERS else max(1, threads - 1))]
    if name in PEERS:
        bundle = store / model / f"{version}.csrve"
        python = ["env", f"PYTHONPATH={ROOT}", str(bentoml)] if name == "bentoml" else [sys.executable]
        return [*python, "-m", *PEERS[name], str(bundle), *common]
    own = ["--store", str(store), "--default-model", model, "--preload", f"{model}:{version}", "--log-level", "warning"]
    if name == REPLICAS:
        return [sys.executable, "-m", "service.bench_serve.replicas", *own, "--port", str(port)]
    return [sys.executable, "-m", "service", *own, *common]


@contextmanager
def running(
    name: str, command: Sequence[str], port: int, requests: Requests, cores: Collection[int]
) -> Iterator[Server]:
    """A server that has answered once; it is ended afterwards.

    Raises:
        BenchError: it ended, or did not answer in time.
    """
    confined = ["taskset", "-c", ",".join(map(str, sorted(cores))), *command]
    began_s = time.perf_counter()
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(confined, stdout=subprocess.DEVNULL, stderr=complaints, start_new_session=True)
        try:
            server = _started(name, process, port, requests, began_s, complaints)
            yield server
            server.resume()
        finally:
            _end(process)


def _started(
    name: str,
    process: "subprocess.Popen[bytes]",
    port: int,
    requests: Requests,
    began_s: float,
    complaints: IO[bytes],
) -> Server:
    while not _answers(port, requests):
        if process.poll() is not None:
            raise BenchError(f"{name}: ended with status {process.returncode}{_last_line(complaints)}")
        if time.perf_counter() > began_s + START_TIMEOUT_S:
            raise BenchError(f"{name}: no answer within {START_TIMEOUT_S:g} s")
        time.sleep(0.005)
    server = Server(name, port, requests, time.perf_counter() - began_s, tree_bytes(process.pid), process.pid)
    server.pause()
    return server


def _last_line(complaints: IO[bytes]) -> str:
    """What a process said at last, after a colon; nothing where it said nothing."""
    complaints.seek(0)
    lines = complaints.read().decode(errors="replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return f": {said[-1]}" if said else ""


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a service, and whatever of its processes it leaves behind."""
    process.send_signal(signal.SIGCONT)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def tree_bytes(root: int) -> int:
    """Resident memory of a process and all below it; pages that they share count once for each."""
    parents: dict[int, int] = {}
    resident: dict[int, int] = {}
    for path in _PROC.glob("[0-9]*/status"):
        try:
            lines = path.read_text().splitlines()
        except OSError:  # it has ended
            continue
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        pid = int(path.parent.name)
        parents[pid] = int(fields["PPid"])
        resident[pid] = 1024 * int(fields.get("VmRSS", "0 kB").split()[0])
    return sum(size for pid, size in resident.items() if _is_below(pid, root, parents))


def _is_below(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid != root and pid in parents:
        pid = parents[pid]
    return pid == root


def _answers(port: int, requests: Requests) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/predict", requests.bodies[0], {"Content-Type": requests.content_type})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
