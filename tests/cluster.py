"""A Ray cluster of two nodes on this machine, each of one core, beside a head that runs nothing itself."""

import importlib.util
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@contextmanager
def two_nodes(variables: Mapping[str, str]) -> Iterator[tuple[Any, list[Any]]]:
    """(the cluster, its two nodes); the calling process is connected to it. Nothing of it is left afterwards.

    Skips the test where Ray is not installed.

    Args:
        variables: added to the environment, which all processes of the cluster inherit.
    """
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed, the extra `scale`")
    before = dict(os.environ)
    os.environ.update(
        variables,
        PYTHONPATH=str(ROOT),  # tasks import samples from the tests
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN=secrets.token_hex(32),
        RAY_USAGE_STATS_ENABLED="0",
        RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",
    )
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        ray.init(address=cluster.address, log_to_driver=False)
        yield cluster, nodes
    finally:
        ray.shutdown()
        cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)
