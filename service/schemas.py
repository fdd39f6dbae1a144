"""The answers' shapes, as OpenAPI documents them."""

from typing import Any

from pydantic import BaseModel, Field


class Candidate(BaseModel):
    """One class and its probability."""

    label: str
    probability: float


class Timing(BaseModel):
    """Where the time went, in milliseconds."""

    read: float = Field(description="From the request's head to the last byte of its body.")
    decode: float = Field(description="Decoding the picture, waiting for a thread included.")
    queue: float = Field(description="Waiting for the engine.")
    inference: float = Field(description="The engine's run of the batch the picture was in.")
    total: float = Field(description="From the request's head to the answer.")


class Prediction(BaseModel):
    """What the picture shows."""

    model: str
    version: int
    label: str = Field(description="The likeliest class.")
    probability: float = Field(description="Softmax of the logits, not calibrated.")
    top: list[Candidate] = Field(description="The likeliest classes, the first one first.")
    timing_ms: Timing


class Classification(BaseModel):
    """What one of several pictures shows."""

    label: str = Field(description="The likeliest class.")
    probability: float = Field(description="Softmax of the logits, not calibrated.")
    top: list[Candidate] = Field(description="The likeliest classes, the first one first.")


class Predictions(BaseModel):
    """What several pictures of one request show."""

    model: str
    version: int
    predictions: list[Classification] = Field(description="In the order of the pictures.")
    timing_ms: Timing = Field(description="Of all of them together.")


class ModelSummary(BaseModel):
    """A model that is loaded."""

    name: str
    version: int
    aliases: list[str] = Field(default=[], description="What else it is called at the moment, `latest` included.")
    architecture: str
    parameters: int = Field(description="Trainable parameters of the dense network.")
    nonzeros: int = Field(description="Non-zero values of all tensors in the bundle.")
    sparsity: float = Field(description="Share of the weights that is zero.")
    dense_bytes: int = Field(description="The dense network's state_dict in float32.")
    bundle_bytes: int = Field(description="The bundle's file.")
    compression_ratio: float = Field(description="dense_bytes / bundle_bytes.")
    bits_per_weight: float = Field(description="Bits of the file for each parameter of the dense network.")
    accuracy: float | None = Field(description="Accuracy on the test set, recorded when the bundle was made.")
    decode_ms: float = Field(description="Time to decode the bundle when it was loaded.")
    resident_bytes: int = Field(description="Bytes of all arrays the engine holds for it, after its first picture.")
    activation_bytes: int = Field(description="Those of them that are buffers; larger batches may add to them.")


class Layer(BaseModel):
    """One named layer of a model."""

    name: str
    shape: list[int] = Field(description="Of its weight, or of its scale.")
    elements: int
    nonzeros: int
    sparsity: float
    bytes_by_kind: dict[str, int] = Field(description="Bytes in the file, by what they hold.")
    bundle_bytes: int
    resident_bytes: int = Field(description="Bytes the engine holds; 0 where it was folded into another layer.")
    kernels: dict[str, str] = Field(
        description="Batch size to the kernel that measured fastest on the device at load; empty where nothing was."
    )


class Preparation(BaseModel):
    """What a picture goes through before the network sees it."""

    channels: int
    height: int
    width: int
    mean: list[float] = Field(description="Subtracted from pixels scaled to [0, 1], one number a channel.")
    std: list[float] = Field(description="Divided by, after that.")


class ModelDetails(ModelSummary):
    """A model, layer by layer and byte by byte."""

    bytes_by_kind: dict[str, int] = Field(description="Every byte of the file, by what it holds; sums to bundle_bytes.")
    layers: list[Layer]
    class_names: list[str]
    preprocessing: Preparation
    provenance: dict[str, Any] = Field(description="Where the bundle comes from, as its maker recorded it.")


class ModelList(BaseModel):
    """The models that are loaded."""

    models: list[ModelSummary]


class Health(BaseModel):
    """Whether the service can be used."""

    status: str = Field(examples=["ok"])
