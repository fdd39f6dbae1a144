"""The service on a store that is a URL: it follows it, outlives it, and opens no connection for a folder."""

import asyncio
import json
import socket
import uuid
from pathlib import Path

import pytest

from model_store.cache import BlobCache
from model_store.errors import StoreUnavailable
from model_store.objects import Item, Objects, open_objects
from model_store.opening import create_store
from model_store.remote_store import RemoteStore
from service.app import build_app
from service.errors import SettingsError
from service.metrics import Metrics
from service.settings import Settings, read_settings
from tests.service.asgi import parts_of
from tests.service.test_following import reloads
from tests.service.test_models import Compiler, found, models_of


class Endpoint(Objects):
    """An endpoint that can be down."""

    down = False

    def list(self, prefix: str) -> list[Item]:
        if self.down:
            raise StoreUnavailable("the endpoint is down")
        return super().list(prefix)


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch, encoded: bytes) -> str:
    monkeypatch.setenv("CSRVE_CACHE", "")
    url = f"memory://{uuid.uuid4().hex}"
    create_store(url).publish("colour", encoded)
    return url


def test_new_versions_and_moved_aliases_are_followed(url: str, encoded: bytes) -> None:
    app = build_app(Settings(store=url, threads=1, log_level="error"))
    models, store = parts_of(app).models, create_store(url)
    store.publish("colour", encoded)
    store.set_alias("colour", "stable", 1)
    asyncio.run(models.refresh())
    assert found(models) == [("colour", 2)]
    assert models.aliases_of("colour", 2) == ["latest"]
    assert models.aliases_of("colour", 1) == ["stable"]


def test_what_is_loaded_is_served_while_the_endpoint_is_down_and_followed_again_after(url: str, encoded: bytes) -> None:
    endpoint, metrics = Endpoint(url, open_objects(url)._store), Metrics()
    store = RemoteStore(endpoint, BlobCache(None))
    models = models_of(store, Compiler(), metrics)
    models.load_latest()
    endpoint.down = True
    create_store(url).publish("colour", encoded)
    asyncio.run(models.refresh())
    assert found(models) == [("colour", 1)]
    assert reloads(metrics) == {"swapped": 0, "failed": 0, "store_unavailable": 1}
    endpoint.down = False
    asyncio.run(models.refresh())
    assert found(models) == [("colour", 2)]


def test_an_endpoint_that_is_down_at_the_start_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{probe.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-word")
    with pytest.raises(
        SettingsError, match=r'^cannot list "s3://bucket/x/models": the endpoint does not answer '
    ) as caught:
        build_app(Settings(store="s3://bucket/x", log_level="error"))
    assert "secret-word" not in str(caught.value)


def test_a_url_stays_one_and_a_folder_becomes_a_path() -> None:
    assert read_settings(["--store", "s3://bucket/x"], {}).store == "s3://bucket/x"
    assert read_settings([], {"CSRVE_STORE": "models"}).store == Path("models")


def test_the_settings_that_are_logged_can_be_written_as_json(url: str) -> None:
    assert json.loads(json.dumps(Settings(store=url).told(), default=str))["store"] == url


def test_a_folder_is_served_and_followed_without_a_connection(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    models = parts_of(build_app(settings)).models
    asyncio.run(models.refresh())
    assert found(models) == [("colour", 2), ("grey", 1)]
