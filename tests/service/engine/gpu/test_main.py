from pathlib import Path

import pytest

from model_store.bundle import encode_bundle
from service.engine.gpu.__main__ import main
from tests.service.bundles import residual_bundle


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("service.engine.gpu.lanes.runs_triton", lambda device: False)  # the interpreter takes seconds
    path = tmp_path / "small.csrve"
    path.write_bytes(encode_bundle(residual_bundle()))
    return path


def test_it_prints_decoding_times_and_the_kernels_of_every_layer(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(bundle), "--device", "cpu"]) == 0
    first, _, *table = capsys.readouterr().out.splitlines()
    assert first.startswith("decode: ")
    assert first.endswith(" ms on the host")
    assert [line.split()[:3] for line in table[1:4]] == [["stem", str(batch), "sparse-product"] for batch in (1, 4, 16)]


@pytest.mark.parametrize("name", ["missing", "small"])
def test_what_cannot_be_done_is_one_line_and_status_2(
    name: str, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(bundle.with_stem(name)), "--device", "cuda:99"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("csrve: ")
    assert message.count("\n") == 1
