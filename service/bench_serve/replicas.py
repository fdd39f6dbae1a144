"""As many replicas of csrve as there are processors, behind nginx: `python -m service.bench_serve.replicas --port P`.

Each replica has a processor of its own and one thread for the engine; nginx is configured as `deploy/nginx/csrve.conf`
says, but for ports and places of temporary files. All of it ends with this process.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from service.bench_serve.ports import free_port

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx" / "csrve.conf"


def configuration(text: str, port: int, replicas: Sequence[int], folder: Path) -> str:
    """The configuration with these ports, its own files below `folder`."""
    servers = "\n".join(f"        server 127.0.0.1:{replica} max_fails=1 fail_timeout=2s;" for replica in replicas)
    text = re.sub(r"(?:        server 127\.0\.0\.1:\d+ .*\n)+", f"{servers}\n", text)
    text = re.sub(r"listen 127\.0\.0\.1:\d+;", f"listen 127.0.0.1:{port};", text)
    return text.replace("/tmp/csrve-nginx", f"{folder}/nginx")


def main() -> int:
    """Start everything; wait for nginx, or for a signal."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--port", type=int, required=True)
    options, rest = parser.parse_known_args()
    cores = sorted(os.sched_getaffinity(0))
    ports = [free_port() for _ in cores]
    processes = [_replica(core, port, rest) for core, port in zip(cores, ports, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "nginx.conf"
        path.write_text(configuration(CONFIGURATION.read_text(), options.port, ports, Path(folder)))
        processes.append(subprocess.Popen(["nginx", "-p", folder, "-c", str(path)], stderr=subprocess.DEVNULL))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            return processes[-1].wait()
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(20)


def _replica(core: int, port: int, options: Sequence[str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "service", *options, "--port", str(port), "--threads", "1"]
    return subprocess.Popen(["taskset", "-c", str(core), *command])


if __name__ == "__main__":
    sys.exit(main())
