"""A store behind a URL: half a publish, damage, the cache, an endpoint that is down, and no secret in any message."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from model_store.bundle import digest_of, encode_bundle
from model_store.cache import BlobCache, cache_of
from model_store.errors import DigestMismatch, ModelNotFound, StoreUnavailable
from model_store.interface import BundleStore
from model_store.manifests import Manifest
from model_store.objects import Objects, open_objects
from model_store.opening import open_store
from model_store.remote_store import RemoteStore
from tests.model_store.s3_servers import BUCKET, environment_of
from tests.model_store.sample_bundles import every_operator_bundle, tiny_bundle

DATA = encode_bundle(tiny_bundle())
OTHER = encode_bundle(every_operator_bundle())
BLOB = f"blobs/{digest_of(DATA)}"
RULE = (
    "store URL: must be one of s3://, gs://, az://, memory:// with a bucket, no name, password, port, query or empty "
    "folder in it"
)


class Failing(Objects):
    """Objects whose calls of some kind fail from the n-th on."""

    def __init__(self, objects: Objects, operations: set[str], after: int) -> None:
        super().__init__(objects.label, objects._store)
        self._operations, self._left = operations, after

    def _count(self, operation: str) -> None:
        if operation in self._operations:
            self._left -= 1
            if self._left < 0:
                raise StoreUnavailable(f"no {operation}")

    def put(self, key: str, data: bytes) -> None:
        self._count("put")
        super().put(key, data)

    def create(self, key: str, data: bytes) -> None:
        self._count("create")
        super().create(key, data)


def uncached(url: str) -> RemoteStore:
    return RemoteStore(open_objects(url), BlobCache(None))


def test_a_version_is_not_listed_before_its_manifest_is_there(url: str) -> None:
    broken = RemoteStore(Failing(open_objects(url), {"create"}, 0), BlobCache(None))
    with pytest.raises(StoreUnavailable, match=r"^no create$"):
        broken.publish("tiny", DATA)
    store = uncached(url)
    assert [item.key for item in store.objects.list("blobs")] == [BLOB]
    assert store.models() == []
    assert store.publish("tiny", DATA).version == 1


@pytest.mark.parametrize("came", [DATA[:-1], bytes([DATA[0] ^ 1]) + DATA[1:], b""])
def test_a_download_that_is_not_what_was_published_is_refused(url: str, came: bytes) -> None:
    store = uncached(url)
    store.publish("tiny", DATA)
    store.objects.put(BLOB, came)
    message = f"tiny:1: {len(came)} bytes came, their SHA-256 is not the manifest's"
    with pytest.raises(DigestMismatch, match=f"^{message}$"):
        store.read("tiny")
    assert store.verify() == [("tiny", 1, message)]
    store.publish("tiny", DATA, 1)
    assert store.read("tiny").data == DATA, "publishing the same again mends it"


def test_a_blob_that_is_gone_is_an_error_that_says_so(memory: str) -> None:
    store = uncached(memory)
    store.publish("tiny", DATA)
    store.objects.remove(BLOB)
    with pytest.raises(StoreUnavailable, match=rf'^"{memory}/{BLOB}": not there, must be$'):
        store.read("tiny")


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (b"", "manifest: must be JSON with sha256 and size_bytes"),
        (b"[1]", "manifest: must be JSON with sha256 and size_bytes"),
        (b'{"sha256": 1, "size_bytes": 1}', "manifest: sha256 must be text, size_bytes a whole number"),
        (b'{"sha256": "../x", "size_bytes": 1}', "manifest: sha256, must be 64 of [0-9a-f]"),
        (Manifest("a" * 64, 1).encoded().replace(b" 1", b" 0"), "manifest: size_bytes 0, must be in 1..1073741824"),
    ],
)
def test_a_damaged_manifest_is_refused(memory: str, manifest: bytes, message: str) -> None:
    store = uncached(memory)
    store.objects.put("models/tiny/versions/1", manifest)
    with pytest.raises(StoreUnavailable) as caught:
        store.read("tiny")
    assert str(caught.value) == message


def test_what_does_not_belong_into_a_store_is_named_and_not_listed(memory: str) -> None:
    store = uncached(memory)
    for key in ("models/tiny/versions/01", "models/TINY/versions/1", "models/tiny/notes"):
        store.objects.put(key, b"x")
    assert store.models() == []
    problem = "foreign entry, must be a version or an alias"
    assert store.verify() == [
        ("models/TINY/versions/1", None, problem),
        ("models/tiny/notes", None, problem),
        ("models/tiny/versions/01", None, problem),
    ]


def test_of_several_who_saw_the_same_alias_exactly_one_moves_it(url: str) -> None:
    store = uncached(url)
    store.publish("tiny", DATA)
    store.publish("tiny", DATA)
    store.set_alias("tiny", "stable", 1)
    store._move("tiny", "stable", 1, 2)
    with pytest.raises(StoreUnavailable, match=r"^tiny:stable: moved by somebody else meanwhile, look again$"):
        store._move("tiny", "stable", 1, 1)
    assert store.resolve("tiny", "stable") == 2


def test_the_cache_answers_and_a_damaged_file_in_it_is_fetched_anew(memory: str, tmp_path: Path) -> None:
    cache = BlobCache(tmp_path / "cache")
    store = RemoteStore(open_objects(memory), cache)
    store.publish("tiny", DATA)
    store.read("tiny")
    file = tmp_path / "cache" / digest_of(DATA)
    assert file.read_bytes() == DATA
    file.write_bytes(OTHER)
    assert store.read("tiny").data == DATA
    assert file.read_bytes() == DATA
    store.objects.remove(BLOB)
    assert store.read("tiny").data == DATA, "from the cache"


def test_the_cache_holds_no_more_than_its_limit_and_forgets_what_was_used_longest_ago(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path, 250)
    items = [bytes([index]) * 100 for index in range(3)]
    for index, item in enumerate(items[:2]):
        cache.put(digest_of(item), item)
        os.utime(tmp_path / digest_of(item), (index, index))
    assert cache.get(digest_of(items[0])) == items[0]
    cache.put(digest_of(items[2]), items[2])
    assert [cache.get(digest_of(item)) for item in items] == [items[0], None, items[2]]
    cache.put("large", bytes(251))
    assert cache.get("large") is None


def test_a_cache_that_cannot_be_written_costs_nothing_but_fetches(memory: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = RemoteStore(open_objects(memory), BlobCache(tmp_path / "file"))
    store.publish("tiny", DATA)
    assert store.read("tiny").data == DATA


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, BlobCache(None)),
        ({"HOME": "/home/me"}, BlobCache(Path("/home/me/.cache/csrve"))),
        ({"HOME": "/home/me", "XDG_CACHE_HOME": "/c"}, BlobCache(Path("/c/csrve"))),
        ({"HOME": "/home/me", "CSRVE_CACHE": ""}, BlobCache(None)),
        ({"CSRVE_CACHE": "/x", "CSRVE_CACHE_BYTES": "7"}, BlobCache(Path("/x"), 7)),
    ],
)
def test_the_environment_says_where_the_cache_is(environment: dict[str, str], expected: BlobCache) -> None:
    assert cache_of(environment) == expected


@pytest.mark.parametrize(
    "url",
    [
        "http://bucket/x",
        "s3://",
        "s3://user:secret-word@bucket/x",
        "s3://bucket/x?token=secret-word",
        "s3://bucket/../x",
        "s3://bucket/x//y",
        "s3://bucket:secret-word/x",
    ],
)
def test_a_url_that_no_store_can_have_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        open_store(url)
    assert str(caught.value) == RULE


def down(monkeypatch: pytest.MonkeyPatch) -> BundleStore:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for variable, value in environment_of(port, "key", "secret-word").items():
        monkeypatch.setenv(variable, value)
    return open_store(f"s3://{BUCKET}/x")


@pytest.mark.usefixtures("_clean")
@pytest.mark.parametrize(
    "call", [lambda store: store.models(), lambda store: store.read("tiny", 1), lambda store: store.publish("t", DATA)]
)
def test_an_endpoint_that_is_down_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[BundleStore], object]
) -> None:
    with pytest.raises(
        StoreUnavailable, match=rf'^cannot (list|read) "s3://{BUCKET}/x/models.*the endpoint does not answer'
    ) as caught:
        call(down(monkeypatch))
    assert "secret-word" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


def test_a_bucket_that_is_not_there_is_a_clear_error(s3: str) -> None:
    missing = s3.replace(BUCKET, "missing")
    with pytest.raises(StoreUnavailable, match=f'^cannot list "{missing}/models": no such bucket$'):
        open_store(missing).models()
    with pytest.raises(StoreUnavailable, match=f'^cannot write "{missing}/{BLOB}": no such bucket$'):
        open_store(missing).publish("tiny", DATA, 1)


@pytest.mark.s3_real
def test_a_wrong_secret_is_a_clear_error(swift: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-word")
    message = f'cannot list "{swift}/models": access is denied: the credentials are wrong, or do not allow it'
    with pytest.raises(StoreUnavailable, match=f"^{message}$"):
        open_store(swift).models()


def test_who_serves_a_folder_imports_no_client_of_object_stores(tmp_path: Path) -> None:
    code = (
        "import sys; import service.app, model_store.cli; from model_store.opening import create_store; "
        "create_store(sys.argv[1]).models(); print('obstore' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "s")], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "False\n"


def test_without_the_package_a_url_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "model_store.objects")
    with pytest.raises(StoreUnavailable, match=r"must be installed: pip install 'csrve\[remote\]'$"):
        open_store("memory://x")


def test_a_removed_version_is_not_found(memory: str) -> None:
    store = uncached(memory)
    store.publish("tiny", DATA)
    store.remove("tiny", 1)
    with pytest.raises(ModelNotFound, match=r'^no version 1 of model "tiny"$'):
        store.remove("tiny", 1)
