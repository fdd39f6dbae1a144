"""What the server and its models say of themselves, in the protocol's shapes."""

from collections.abc import Sequence
from dataclasses import dataclass

from model_store.preprocessing import Preprocessing
from service.oip.datatypes import BYTES, FP32, UINT8
from service.oip.inputs import TensorSpecification, specify_inputs
from service.oip.outputs import specify_outputs

SERVER_NAME = "csrve"
PLATFORM = "csrve_bundle"
EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "parameters",
    "statistics",
)
READY = "READY"
UNAVAILABLE = "UNAVAILABLE"

_CONFIG_TYPES = {BYTES: "TYPE_STRING", FP32: "TYPE_FP32", UINT8: "TYPE_UINT8"}

Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A version in the store; `reason` says why it is not in memory, "" where it is."""

    name: str
    version: int
    reason: str = ""


def describe_server(version: str) -> Document:
    """GET /v2."""
    return {"name": SERVER_NAME, "version": version, "extensions": list(EXTENSIONS)}


def describe_model(
    name: str, versions: Sequence[int], preprocessing: Preprocessing, class_names: Sequence[str]
) -> Document:
    """GET /v2/models/{name}: its tensors, and what becomes of a picture on the way to the network."""
    return {
        "name": name,
        "versions": [str(version) for version in versions],
        "platform": PLATFORM,
        "inputs": [_describe_tensor(tensor) for tensor in specify_inputs(preprocessing)],
        "outputs": [_describe_tensor(tensor) for tensor in specify_outputs(len(class_names))],
        "parameters": {
            "inputs": "a request has exactly one of them",
            "mean": list(preprocessing.mean),
            "std": list(preprocessing.std),
            "class_names": list(class_names),
        },
    }


def describe_configuration(
    name: str, preprocessing: Preprocessing, class_names: Sequence[str], max_pictures: int
) -> Document:
    """GET /v2/models/{name}/config: Triton's ModelConfig, as far as it has a meaning here."""
    return {
        "name": name,
        "platform": PLATFORM,
        "backend": SERVER_NAME,
        "max_batch_size": max_pictures,
        "input": [
            _configure_tensor(tensor) | {"format": "FORMAT_NONE", "optional": True}
            for tensor in specify_inputs(preprocessing)
        ],
        "output": [_configure_tensor(tensor) for tensor in specify_outputs(len(class_names))],
        "dynamic_batching": {},
        "parameters": {"one_input": {"string_value": "a request has exactly one of the inputs"}},
    }


def describe_index(entries: Sequence[IndexEntry], ready_only: bool) -> list[Document]:
    """POST /v2/repository/index."""
    return [
        {
            "name": entry.name,
            "version": str(entry.version),
            "state": UNAVAILABLE if entry.reason else READY,
            "reason": entry.reason,
        }
        for entry in entries
        if not (ready_only and entry.reason)
    ]


def _describe_tensor(tensor: TensorSpecification) -> Document:
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": [-1, *tensor.sides],
        "parameters": {"content": tensor.content},
    }


def _configure_tensor(tensor: TensorSpecification) -> Document:
    return {"name": tensor.name, "data_type": _CONFIG_TYPES[tensor.datatype], "dims": list(tensor.sides)}
