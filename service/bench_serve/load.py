"""A closed loop of requests: each connection sends its next one when the last was answered. By wrk, or by ourselves."""

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from service.bench_serve.requests import Requests
from service.errors import BenchError

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Load:
    """What one turn gave.

    Attributes:
        requests: answered, with whatever status.
        failures: answers other than 2xx, and requests that were not answered at all.
        p50_ms, p99_ms: of all answers' latencies.
    """

    requests: int
    failures: int
    duration_s: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """2xx answers a second."""
        return max(0, self.requests - self.failures) / self.duration_s


def generator() -> str:
    """What makes the requests: wrk where it is installed."""
    return "wrk" if shutil.which("wrk") else "asyncio"


def apply_load(
    port: int, requests: Requests, connections: int, duration_s: float, cores: Collection[int], folder: Path
) -> Load:
    """Requests from that many connections for that long, from these processors.

    Raises:
        BenchError: wrk failed.
    """
    if generator() == "asyncio":
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores)
        try:
            return asyncio.run(_apply(requests.encoded(port), port, connections, duration_s))
        finally:
            os.sched_setaffinity(0, before)
    script = folder / "load.lua"
    script.write_text(lua_script(requests))
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{round(duration_s)}s"]
    command += ["--timeout", f"{TIMEOUT_S:g}s", "--script", str(script), f"http://127.0.0.1:{port}/predict"]
    done = subprocess.run(
        ["taskset", "-c", ",".join(map(str, sorted(cores))), *command], capture_output=True, text=True, check=False
    )
    return parse_wrk(done.stdout, done.stderr)


def lua_script(requests: Requests) -> str:
    """A script for wrk that posts the bodies in turn and says what came of it, as a line of JSON."""
    bodies = ",\n".join('"' + "".join(f"\\{byte:03d}" for byte in body) + '"' for body in requests.bodies)
    return f"""local bodies = {{
{bodies}
}}
local requests, turn = {{}}, 0
init = function(args)
  for index, body in ipairs(bodies) do
    requests[index] = wrk.format("POST", nil, {{["Content-Type"] = "{requests.content_type}"}}, body)
  end
end
request = function()
  turn = turn % #requests + 1
  return requests[turn]
end
done = function(summary, latency, all)
  local e = summary.errors
  print(string.format('JSON {{"requests": %d, "failures": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d}}',
    summary.requests, e.connect + e.read + e.write + e.timeout + e.status, summary.duration,
    latency:percentile(50), latency:percentile(99)))
end
"""


def parse_wrk(output: str, errors: str = "") -> Load:
    """What the script's last line says. Raises BenchError where there is none."""
    for line in output.splitlines():
        if line.startswith("JSON "):
            found = json.loads(line.removeprefix("JSON "))
            times_ms = (found["p50_us"] / 1e3, found["p99_us"] / 1e3)
            return Load(found["requests"], found["failures"], found["duration_us"] / 1e6, *times_ms)
    raise BenchError(f"wrk: {(errors.strip() or output.strip() or 'no output').splitlines()[-1]}")


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least that share does not exceed; 0 where there are none."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))] if ordered else 0.0


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    """Send a request and read its answer, which must say its length. Returns the status."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


async def _apply(requests: Sequence[bytes], port: int, connections: int, duration_s: float) -> Load:
    latencies: list[float] = []
    began_s = time.perf_counter()

    async def loop(start: int) -> int:
        failures, turn = 0, start
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while (sent_s := time.perf_counter()) < began_s + duration_s:
                turn += 1
                status = await exchange(reader, writer, requests[turn % len(requests)])
                latencies.append(1000 * (time.perf_counter() - sent_s))
                failures += not 200 <= status < 300
        finally:
            writer.close()
            with suppress(OSError):  # the other end hung up
                await writer.wait_closed()
        return failures

    try:
        failures = sum(await asyncio.gather(*(loop(number) for number in range(connections))))
    except (OSError, EOFError) as error:
        raise BenchError(f"127.0.0.1:{port}: {error}") from None
    elapsed_s = time.perf_counter() - began_s
    return Load(len(latencies), failures, elapsed_s, percentile(latencies, 0.5), percentile(latencies, 0.99))
