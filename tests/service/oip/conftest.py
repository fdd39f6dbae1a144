import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.processes import Service, serving

TOKEN = "the-admin-token-of-the-tests"


@pytest.fixture(scope="package")
def protocol_service(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that may load and unload, over a store of its own at `protocol_store`; the package's tests share it."""
    root = tmp_path_factory.mktemp("protocol") / "store"
    shutil.copytree(published, root)
    with serving(root, "--admin-token", TOKEN) as service:
        yield service
