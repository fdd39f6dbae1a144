"""Every documented address, asked by schemathesis what its OpenAPI says may be asked, and what it says may not."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.processes import serving

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
PROGRAM = Path(sys.executable).with_name("schemathesis")
MODELS_THAT_ARE_THERE = '[parameters]\n"path.name" = "colour"\n"path.version" = "1"\n"query.model" = "grey"\n'


@pytest.mark.slow
@pytest.mark.parametrize("configuration", ["", MODELS_THAT_ARE_THERE], ids=["any names", "models that are there"])
def test_no_answer_is_a_failure_or_undocumented(published: Path, tmp_path: Path, configuration: str) -> None:
    (tmp_path / "schemathesis.toml").write_text(configuration)
    with serving(published, "--default-model", "colour") as service:
        command = [str(PROGRAM), "run", f"http://127.0.0.1:{service.port}/openapi.json", "--checks", ",".join(CHECKS)]
        command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "50", "--generation-deterministic"]
        command += ["--warnings", "off", "--no-color"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr
