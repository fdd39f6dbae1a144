"""What `/models` tells of a model: its figures, and where its bytes are, in the file and in memory."""

import math
from collections.abc import Mapping
from dataclasses import asdict

from model_store.accounting import Accounting, account
from model_store.bundle import Bundle
from model_store.description import figures_of
from model_store.graph import Node
from model_store.interface import StoredBundle
from service.engine import Plan
from service.engine.plan import MeasuredPlan
from service.schemas import Layer, ModelDetails, Preparation


def describe_model(stored: StoredBundle, bundle: Bundle, plan: Plan, decode_ms: float) -> ModelDetails:
    """Everything about a version that is loaded."""
    accounting = account(stored.data)
    preprocessing = bundle.preprocessing
    return ModelDetails(
        name=stored.name,
        version=stored.version,
        **asdict(figures_of(bundle, len(stored.data))),
        decode_ms=decode_ms,
        resident_bytes=plan.resident_bytes,
        activation_bytes=plan.resident_bytes - sum(plan.layer_bytes.values()),
        bytes_by_kind=accounting.by_kind(),
        layers=_layers(bundle, accounting, plan),
        class_names=list(bundle.class_names),
        preprocessing=Preparation(
            channels=preprocessing.channels,
            height=preprocessing.height,
            width=preprocessing.width,
            mean=list(preprocessing.mean),
            std=list(preprocessing.std),
        ),
        provenance=dict(bundle.provenance),
    )


def _layers(bundle: Bundle, accounting: Accounting, plan: Plan) -> list[Layer]:
    by_layer = accounting.by_layer()
    return [_layer(node, bundle, by_layer.get(node.name, {}), plan) for node in bundle.graph.nodes if node.name]


def _layer(node: Node, bundle: Bundle, bytes_by_kind: Mapping[str, int], plan: Plan) -> Layer:
    tensors = [bundle.tensors[index] for index in node.tensors]
    elements = sum(math.prod(tensor.shape) for tensor in tensors)
    nonzeros = sum(tensor.nonzeros for tensor in tensors)
    return Layer(
        name=node.name,
        shape=list(tensors[0].shape),
        elements=elements,
        nonzeros=nonzeros,
        sparsity=1 - nonzeros / elements,
        bytes_by_kind=dict(bytes_by_kind),
        bundle_bytes=sum(bytes_by_kind.values()),
        resident_bytes=plan.layer_bytes.get(node.name, 0),
        kernels={str(batch): kernel for batch, kernel in _kernels_of(plan).get(node.name, {}).items()},
    )


def _kernels_of(plan: Plan) -> Mapping[str, Mapping[int, str]]:
    return plan.layer_kernels if isinstance(plan, MeasuredPlan) else {}
