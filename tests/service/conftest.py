import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from model_store.bundle import encode_bundle
from model_store.store import Store
from service.app import build_app
from service.settings import Settings
from tests.service.bundles import residual_bundle


@pytest.fixture(scope="session")
def encoded() -> bytes:
    """A bundle of 8 x 8 RGB pictures and four classes."""
    return encode_bundle(residual_bundle())


@pytest.fixture(scope="session")
def encoded_grey() -> bytes:
    """A bundle of 12 x 10 grey pictures and three classes."""
    return encode_bundle(residual_bundle(seed=50, input_shape=(1, 12, 10), classes=3))


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory, encoded: bytes, encoded_grey: bytes) -> Path:
    """A store that nobody changes: `colour` in versions 1 and 2, `grey` in version 1."""
    root = tmp_path_factory.mktemp("published")
    store = Store(root)
    store.publish("colour", encoded, 1)
    store.publish("colour", encode_bundle(residual_bundle(seed=20)), 2)
    store.publish("grey", encoded_grey, 1)
    return root


@pytest.fixture
def store(published: Path, tmp_path: Path) -> Store:
    """A copy of it to change, at `tmp_path / "store"`."""
    shutil.copytree(published, tmp_path / "store")
    return Store(tmp_path / "store")


@pytest.fixture(scope="session")
def settings(published: Path) -> Settings:
    return Settings(store=published, default_model="colour", threads=1, log_level="error")


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """A client of an application that nobody has used."""
    with TestClient(build_app(settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def steady_client(settings: Settings) -> Iterator[TestClient]:
    """A client of an application that the module's tests share."""
    with TestClient(build_app(settings), raise_server_exceptions=False) as client:
        yield client
