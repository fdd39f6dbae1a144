from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from service.app import build_app
from service.settings import Settings
from tests.service.conftest import encoded, encoded_grey, published

__all__ = ["encoded", "encoded_grey", "published"]

COMPARED = {"shadow": "colour=colour:1@1", "canary": "grey=colour@0.5"}

Series = dict[str, list[dict[str, str]]]
"""The labels of each series, by the name of its samples."""


@pytest.fixture(scope="session")
def exported(published: Path) -> Series:
    """What a real application exports, as a scrape sees it."""
    settings = Settings(store=published, default_model="colour", threads=1, log_level="error", **COMPARED)
    with TestClient(build_app(settings)) as client:
        text = client.get("/metrics").text
    series: Series = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series.setdefault(sample.name, []).append(dict(sample.labels))
    return series
