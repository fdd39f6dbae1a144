"""The manifests of deploy/ against Kubernetes' published schemas, and the flags, routes and image that there are."""

import json
import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from model_store.store import Store
from service.app import build_app
from service.settings import Settings, read_settings

ROOT = Path(__file__).parents[1]
SCHEMAS = "1.31"  # of Kubernetes; autoscaling/v2 and all else here is in every release since 1.23
DEPLOY = ROOT / "deploy"


def documents(place: str) -> dict[str, Any]:
    return {found["kind"]: found for found in yaml.safe_load_all((DEPLOY / place).read_text())}


@pytest.fixture(scope="module")
def kubernetes() -> dict[str, Any]:
    return documents("kubernetes/csrve.yaml")


@pytest.fixture(scope="module")
def runtime() -> dict[str, Any]:
    return dict(documents("kserve/runtime.yaml")["ClusterServingRuntime"])


@pytest.fixture(scope="module")
def routes() -> set[str]:
    return set(build_app(Settings(store=ROOT / "store", preload="none", log_level="error")).openapi()["paths"])


def container_of(kubernetes: dict[str, Any]) -> dict[str, Any]:
    (container,) = kubernetes["Deployment"]["spec"]["template"]["spec"]["containers"]
    return dict(container)


def assert_locked_down(container: dict[str, Any]) -> None:
    context = container["securityContext"]
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]


def test_each_object_has_the_version_that_its_kind_has(kubernetes: dict[str, Any], runtime: dict[str, Any]) -> None:
    assert {kind: found["apiVersion"] for kind, found in kubernetes.items()} == {
        "Deployment": "apps/v1",
        "Service": "v1",
        "HorizontalPodAutoscaler": "autoscaling/v2",
        "ServiceMonitor": "monitoring.coreos.com/v1",
    }
    assert runtime["apiVersion"] == "serving.kserve.io/v1alpha1"


def assert_valid(found: dict[str, Any]) -> None:
    """Kubernetes' own schema knows every field of it."""
    assert kubernetes_validate.validate(found, SCHEMAS, strict=True) == SCHEMAS


@pytest.mark.parametrize("kind", ["Deployment", "Service", "HorizontalPodAutoscaler"])
def test_kubernetes_schemas_know_every_field(kubernetes: dict[str, Any], kind: str) -> None:
    assert_valid(kubernetes[kind])


def test_the_containers_of_kserve_are_those_of_a_pod(runtime: dict[str, Any]) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "csrve"}}
    assert_valid({**pod, "spec": {"containers": runtime["spec"]["containers"]}})


def test_a_misspelt_field_is_found(kubernetes: dict[str, Any]) -> None:
    wrong = {**kubernetes["Service"], "spec": {**kubernetes["Service"]["spec"], "selectors": {}}}
    with pytest.raises(kubernetes_validate.ValidationError, match="selectors"):
        assert_valid(wrong)


def test_labels_ports_and_names_of_the_objects_meet(kubernetes: dict[str, Any]) -> None:
    deployment, service = kubernetes["Deployment"], kubernetes["Service"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert service["spec"]["selector"].items() <= labels.items()
    monitor = kubernetes["ServiceMonitor"]["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (port,), (endpoint,) = service["spec"]["ports"], monitor["endpoints"]
    assert endpoint["port"] == port["name"]
    assert port["targetPort"] in {named["name"] for named in container_of(kubernetes)["ports"]}
    scaled = kubernetes["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert scaled == {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment["metadata"]["name"]}


def image_variables() -> dict[str, str]:
    """Of csrve, that the image sets."""
    return dict(re.findall(r"^    (CSRVE_\w+)=(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))


def test_the_image_serves_its_own_store_to_all_and_another_where_it_is_told_to() -> None:
    (command,) = re.findall(r"^CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    settings = read_settings(json.loads(command), image_variables())
    assert (str(settings.store), settings.host, settings.port) == ("/store", "0.0.0.0", 8000)
    assert settings.default_model in Store(ROOT / "store").models()
    told = read_settings(["--default-model", "mine"], image_variables() | {"CSRVE_STORE": "s3://bucket/models"})
    assert (str(told.store), told.host, told.default_model) == ("s3://bucket/models", "0.0.0.0", "mine")


def test_what_models_may_take_leaves_room_in_the_container(kubernetes: dict[str, Any], runtime: dict[str, Any]) -> None:
    (kserve,) = runtime["spec"]["containers"]
    container = container_of(kubernetes)
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    for limits, settings in (
        (container["resources"]["limits"], read_settings(container["args"], environment)),
        (kserve["resources"]["limits"], read_settings(kserve["args"], {})),
    ):
        (mebibytes,) = re.findall(r"^(\d+)Mi$", limits["memory"])
        assert settings.max_resident_bytes <= int(mebibytes) << 19, "half of it"


def test_the_deployments_variables_are_settings_that_are_accepted(kubernetes: dict[str, Any]) -> None:
    container = container_of(kubernetes)
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert environment.keys() <= {f"CSRVE_{option.name.upper()}" for option in fields(Settings)}
    settings = read_settings(container["args"], image_variables() | environment)
    assert str(settings.store) == environment["CSRVE_STORE"], "no flag of the image's is in a variable's way"
    assert settings.host == environment["CSRVE_HOST"]
    assert settings.default_model in Store(ROOT / "store").models()
    assert [port["containerPort"] for port in container["ports"]] == [settings.port]
    pod = kubernetes["Deployment"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > settings.drain_delay_s + settings.grace_s
    probe = container["readinessProbe"]
    assert settings.drain_delay_s > probe["periodSeconds"] * probe["failureThreshold"]


def test_probes_and_scrapes_ask_routes_that_there_are(
    kubernetes: dict[str, Any], runtime: dict[str, Any], routes: set[str]
) -> None:
    (kserve,) = runtime["spec"]["containers"]
    found = [
        container[probe]["httpGet"]["path"]
        for container in (container_of(kubernetes), kserve)
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
        if probe in container
    ]
    found.append(kubernetes["ServiceMonitor"]["spec"]["endpoints"][0]["path"])
    found.append(runtime["spec"]["annotations"]["prometheus.kserve.io/path"])
    assert len(found) == 7
    assert set(found) <= routes


def test_containers_write_nowhere_but_in_their_scratch_and_are_nobody(
    kubernetes: dict[str, Any], runtime: dict[str, Any]
) -> None:
    (kserve,) = runtime["spec"]["containers"]
    pod = kubernetes["Deployment"]["spec"]["template"]["spec"]
    assert_locked_down(container_of(kubernetes))
    assert_locked_down(kserve)
    (user,) = re.findall(r"^USER (\d+):\d+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert pod["securityContext"]["runAsNonRoot"] is kserve["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == kserve["securityContext"]["runAsUser"] == int(user)
    assert {mount["name"] for mount in container_of(kubernetes)["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]
    }


def test_kserves_arguments_are_flags_that_are_accepted(runtime: dict[str, Any]) -> None:
    (container,) = runtime["spec"]["containers"]
    settings = read_settings(container["args"], {})
    assert (settings.store, settings.port) == (Path("/mnt/models"), 8080)
    assert container["name"] == "kserve-container"
    assert [port["containerPort"] for port in container["ports"]] == [settings.port]
    assert runtime["spec"]["annotations"]["prometheus.kserve.io/port"] == str(settings.port)
    assert runtime["spec"]["protocolVersions"] == ["v2"]


def test_nginx_has_the_limits_of_the_service() -> None:
    text = (DEPLOY / "nginx" / "csrve.conf").read_text()
    settings = Settings(store=ROOT / "store")
    assert f"client_max_body_size {settings.max_body_bytes >> 20}m;" in text
    assert f"client_header_timeout {settings.head_timeout_s:.0f}s;" in text
    assert f"client_body_timeout {settings.upload_timeout_s:.0f}s;" in text
    (timeout_s,) = re.findall(r"proxy_read_timeout (\d+)s;", text)
    assert int(timeout_s) > settings.deadline_s + settings.upload_timeout_s


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    command = ["nginx", "-t", "-p", str(tmp_path), "-c", str(DEPLOY / "nginx" / "csrve.conf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
