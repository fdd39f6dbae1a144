"""Stores of every kind, empty, for the tests that hold for all of them."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.model_store.s3_servers import BUCKET, environment_of, moto_server
from tests.model_store.swift import REASON_MISSING, swift_server


@pytest.fixture(scope="session")
def moto_port() -> Iterator[int]:
    with moto_server() as port:
        yield port


@pytest.fixture(scope="session")
def swift_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if REASON_MISSING:
        pytest.skip(REASON_MISSING)
    with swift_server(tmp_path_factory.mktemp("swift")) as port:
        yield port


@pytest.fixture
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, endpoint or cache of whoever runs the tests."""
    for variable in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("CSRVE_CACHE", "")


@pytest.fixture
def memory(_clean: None) -> str:
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def s3(_clean: None, moto_port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    return _bucket(moto_port, monkeypatch)


@pytest.fixture
def swift(_clean: None, swift_port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    return _bucket(swift_port, monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "store")


REMOTE = ["memory", "s3", pytest.param("swift", marks=pytest.mark.s3_real)]


@pytest.fixture(params=["folder", *REMOTE])
def place(request: pytest.FixtureRequest) -> str:
    """What `--store` may be: an empty store of each kind."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture(params=["folder", "memory", "s3"])
def racing_place(request: pytest.FixtureRequest) -> str:
    """An empty store of each kind whose create-if-absent is one step. Swift's looks first and writes then."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture(params=REMOTE)
def url(request: pytest.FixtureRequest) -> str:
    """An empty store of each kind that is a URL."""
    return str(request.getfixturevalue(request.param))


def _bucket(port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    for variable, value in environment_of(port).items():
        monkeypatch.setenv(variable, value)
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"
