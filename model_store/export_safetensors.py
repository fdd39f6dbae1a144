"""Bundle -> safetensors: every tensor dense, in float32, named "<layer>.<role>". Needs the extra `export`."""

import json
from dataclasses import asdict

import numpy as np
from safetensors.numpy import save

from model_store.bundle import Bundle


def export_safetensors(bundle: Bundle) -> bytes:
    """The file's bytes. Weights keep their layout: [outputs, inputs / group, height, width] or [outputs, inputs].

    BatchNormalization is folded, as in the bundle: it has a scale and a bias, and no running statistics. What is no
    tensor travels as JSON under the one metadata key "csrve" (of several keys the library would shuffle the order,
    and the same bundle would not always give the same bytes).
    """
    tensors = {
        name: np.ascontiguousarray(bundle.tensors[index].to_dense())
        for index, name in bundle.graph.tensor_names().items()
    }
    return save(tensors, metadata={"csrve": json.dumps(_metadata(bundle), sort_keys=True)})


def _metadata(bundle: Bundle) -> dict[str, object]:
    return {
        "architecture": bundle.architecture,
        "class_names": bundle.class_names,
        "preprocessing": asdict(bundle.preprocessing),
        "parameters": bundle.parameters,
        "provenance": bundle.provenance,
    }
