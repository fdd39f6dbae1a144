"""Bundle -> safetensors: every tensor dense, in float32, named "<layer>.<role>". Needs the extra `export`."""

import json

import numpy as np
from safetensors.numpy import save

from model_store.bundle import Bundle


def export_safetensors(bundle: Bundle) -> bytes:
    """The file's bytes. Weights keep their layout: [outputs, inputs / group, height, width] or [outputs, inputs].

    BatchNormalization is folded, as in the bundle: it has a scale and a bias, and no running statistics. What is no
    tensor travels as metadata (strings; structured values as JSON).
    """
    tensors = {
        name: np.ascontiguousarray(bundle.tensors[index].to_dense())
        for index, name in bundle.graph.tensor_names().items()
    }
    return save(tensors, metadata=_metadata(bundle))


def _metadata(bundle: Bundle) -> dict[str, str]:
    preprocessing = bundle.preprocessing
    return {
        "producer": "csrve",
        "architecture": bundle.architecture,
        "class_names": json.dumps(bundle.class_names),
        "preprocessing": json.dumps(
            {
                "height": preprocessing.height,
                "width": preprocessing.width,
                "mean": preprocessing.mean,
                "std": preprocessing.std,
            }
        ),
        "parameters": str(bundle.parameters),
        "provenance": json.dumps(bundle.provenance, sort_keys=True),
    }
