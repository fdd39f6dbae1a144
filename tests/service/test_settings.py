from dataclasses import MISSING, Field, fields
from pathlib import Path

import pytest

from service.errors import SettingsError
from service.settings import Settings, available_cores, read_settings


def test_flags_win_over_variables_and_variables_over_defaults() -> None:
    settings = read_settings(
        ["--store", "a", "--port", "1"],
        {"CSRVE_STORE": "b", "CSRVE_PORT": "2", "CSRVE_MAX_BATCH": "3", "CSRVE_GRACE_S": "1.5", "OTHER": "x"},
    )
    assert settings == Settings(store=Path("a"), port=1, max_batch=3, grace_s=1.5)
    assert (settings.host, settings.device, settings.threads) == ("127.0.0.1", "cpu", available_cores())
    assert settings.max_body_bytes == 8 * 1024 * 1024
    assert settings.max_pixels == 4 * 1024 * 1024


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "store missing: give --store DIR or CSRVE_STORE"),
        (["--store"], "argument --store: expected one argument"),
        (["--store", "a", "--wrong", "1"], "unrecognized arguments: --wrong 1"),
        (["--store", "a", "--por", "1"], "unrecognized arguments: --por 1"),
        (["--store", "a", "--port", "x"], 'port "x", must be a whole number'),
        (["--store", "a", "--port", "-1"], "port -1, must be in 0..65535"),
        (["--store", "a", "--port", "65536"], "port 65536, must be in 0..65535"),
        (["--store", "a", "--threads", "0"], "threads 0, must be in 1..1024"),
        (["--store", "a", "--grace-s", "nan"], "grace_s nan, must be in 0.1..3600"),
        (["--store", "a", "--grace-s", "soon"], 'grace_s "soon", must be a number'),
        (["--store", "a", "--device", "tpu"], 'device "tpu", must be cpu, cuda or cuda:N'),
        (["--store", "a", "--precision", "int8"], 'precision "int8", must be float32, tf32 or bfloat16'),
        (["--store", "a", "--log-level", "loud"], 'log_level "loud", must be debug, info, warning or error'),
        (["--store", "a", "--canary", "a=b"], 'canary "a=b", must be MODEL=CANDIDATE@SHARE'),
        (["--store", "a", "--max-header-bytes", "9"], "max_header_bytes 9, must be in 256..1048576"),
        (
            ["--store", "a", "--preload", "a,B"],
            "model name 'B': must be 1..64 of [a-z0-9._-], a letter or digit at both ends",
        ),
        (
            ["--store", "a", "--default-model", "A"],
            "model name 'A': must be 1..64 of [a-z0-9._-], a letter or digit at both ends",
        ),
    ],
)
def test_a_bad_setting_is_named(arguments: list[str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(arguments, {})
    assert str(caught.value) == message


def test_the_log_is_told_every_setting() -> None:
    told = Settings(store=Path("a"), threads=3).told()
    assert list(told) == list(Settings.__dataclass_fields__)
    assert (told["threads"], told["store"]) == (3, Path("a"))


def test_help_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        read_settings(["--help"], {})
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for name in Settings.__dataclass_fields__:
        assert f"--{name.replace('_', '-')} " in text


def test_the_document_has_every_setting_with_its_default() -> None:
    text = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
    rows = [line for line in text.partition("\n## Settings\n")[2].splitlines() if line.startswith("| `--")]
    assert rows == [
        f"| `--{option.name.replace('_', '-')}` | {_default(option)} | {option.metadata['help']} |"
        for option in fields(Settings)
    ]


def _default(option: "Field[object]") -> str:
    if option.default is not MISSING:
        return f"`{option.default}`" if option.default != "" else ""
    return "" if option.default_factory is MISSING else "cores"


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
def test_devices(device: str) -> None:
    assert Settings(store=Path("a"), device=device).device == device


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_precisions(precision: str) -> None:
    assert Settings(store=Path("a"), precision=precision).precision == precision


def test_the_admin_token_is_not_shown() -> None:
    settings = read_settings(["--store", "a"], {"CSRVE_ADMIN_TOKEN": "0123456789abcdef"})
    assert settings.admin_token == "0123456789abcdef"
    assert "0123456789" not in repr(settings)
