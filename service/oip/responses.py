"""An inference response: JSON, or JSON and the bytes of its tensors."""

import json

import numpy as np

from service.oip.datatypes import encode_texts
from service.oip.outputs import OutputTensor

JSON_TYPE = "application/json"
BINARY_TYPE = "application/octet-stream"
HEADER_LENGTH = "Inference-Header-Content-Length"


def encode_response(
    model: str, version: int, identity: str, outputs: list[OutputTensor]
) -> tuple[bytes, dict[str, str]]:
    """(body, headers) of a response; `identity` is the request's id, "" for none."""
    payloads = [_payload(output) for output in outputs]
    document: dict[str, object] = {"model_name": model, "model_version": str(version)}
    if identity:
        document["id"] = identity
    document["outputs"] = [_describe(output, payload) for output, payload in zip(outputs, payloads, strict=True)]
    header = json.dumps(document, separators=(",", ":")).encode()
    binary = [payload for payload in payloads if payload is not None]
    if not binary:
        return header, {"Content-Type": JSON_TYPE}
    return b"".join([header, *binary]), {"Content-Type": BINARY_TYPE, HEADER_LENGTH: str(len(header))}


def _payload(output: OutputTensor) -> bytes | None:
    """The tensor's bytes, None where it goes into the JSON."""
    if not output.binary:
        return None
    return encode_texts(output.data) if isinstance(output.data, list) else output.data.astype("<f4").tobytes()


def _describe(output: OutputTensor, payload: bytes | None) -> dict[str, object]:
    entry: dict[str, object] = {"name": output.name, "shape": list(output.shape), "datatype": output.datatype}
    if payload is not None:
        return entry | {"parameters": {"binary_data_size": len(payload)}}
    if isinstance(output.data, list):
        return entry | {"data": [text.decode() for text in output.data]}
    return entry | {"data": np.ravel(output.data).tolist()}
