"""CSRVE_RAY_* variables, and what Ray is given."""

import pytest

from service.errors import SettingsError
from service.ray_options import RayOptions, deployment_options, read_ray_options
from service.settings import read_settings


def test_without_variables_there_is_one_replica() -> None:
    assert read_ray_options({}) == RayOptions(min_replicas=1, max_replicas=1, target_requests=16)


def test_variables_are_read() -> None:
    environment = {
        "CSRVE_RAY_MIN_REPLICAS": "0",
        "CSRVE_RAY_MAX_REPLICAS": "4",
        "CSRVE_RAY_TARGET_REQUESTS": "8",
    }
    assert read_ray_options(environment) == RayOptions(min_replicas=0, max_replicas=4, target_requests=8)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("MIN_REPLICAS", "-1", "CSRVE_RAY_MIN_REPLICAS -1, must be in 0..1024"),
        ("MIN_REPLICAS", "2", "CSRVE_RAY_MAX_REPLICAS 1, must be in 2..1024"),
        ("MAX_REPLICAS", "0", "CSRVE_RAY_MAX_REPLICAS 0, must be in 1..1024"),
        ("MAX_REPLICAS", "two", 'CSRVE_RAY_MAX_REPLICAS "two", must be a whole number'),
        ("TARGET_REQUESTS", "0", "CSRVE_RAY_TARGET_REQUESTS 0, must be in 1..1024"),
    ],
)
def test_a_value_out_of_range_is_refused(variable: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_ray_options({f"CSRVE_RAY_{variable}": value})
    assert str(caught.value) == message


def test_replicas_are_given_our_variables_and_no_others() -> None:
    environment = {"CSRVE_STORE": "store", "CSRVE_THREADS": "2", "CSRVE_REQUEST_LIMIT": "50", "HOME": "/home"}
    options = deployment_options(read_settings([], environment), read_ray_options(environment), environment)
    assert options["max_ongoing_requests"] == 100
    assert options["ray_actor_options"] == {
        "num_cpus": 2,
        "num_gpus": 0,
        "runtime_env": {"env_vars": {"CSRVE_STORE": "store", "CSRVE_THREADS": "2", "CSRVE_REQUEST_LIMIT": "50"}},
    }


def test_a_device_that_is_a_gpu_is_asked_of_ray() -> None:
    environment = {"CSRVE_STORE": "store", "CSRVE_DEVICE": "cuda"}
    options = deployment_options(read_settings([], environment), RayOptions(), environment)
    assert options["ray_actor_options"]["num_gpus"] == 1
