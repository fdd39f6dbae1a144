"""The protocol's shapes, as OpenAPI documents them. What is sent and read is checked elsewhere, field by field."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Parameters = dict[str, str | int | float | bool]


class Live(BaseModel):
    live: bool


class Ready(BaseModel):
    ready: bool


class ModelReady(BaseModel):
    name: str
    ready: bool


class ServerMetadata(BaseModel):
    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    name: str
    datatype: str = Field(examples=["FP32"])
    shape: list[int] = Field(description="-1 stands for the number of pictures.")
    parameters: Parameters = Field(description="`content`: what the tensor holds.")


class ModelMetadata(BaseModel):
    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata] = Field(description="A request has exactly one of them.")
    outputs: list[TensorMetadata]
    parameters: dict[str, Any] = Field(description="mean and std of the normalisation, and class_names.")


class ModelConfiguration(BaseModel):
    """Triton's ModelConfig, as far as it has a meaning here."""

    model_config = ConfigDict(extra="allow")

    name: str
    platform: str
    backend: str
    max_batch_size: int = Field(description="Most pictures of one request.")
    input: list[dict[str, Any]]
    output: list[dict[str, Any]]


class RequestInput(BaseModel):
    name: str = Field(examples=["image"])
    shape: list[int] = Field(examples=[[1]])
    datatype: str = Field(examples=["BYTES"])
    parameters: Parameters | None = Field(None, description="`binary_data_size`: its bytes behind the JSON.")
    data: list[Any] | None = Field(None, description="Row by row, flat or nested.")


class RequestOutput(BaseModel):
    name: str = Field(examples=["probabilities"])
    parameters: Parameters | None = Field(None, description="`classification`, `binary_data`.")


class InferenceRequest(BaseModel):
    """An inference request; other members are ignored."""

    id: str | None = None
    parameters: Parameters | None = Field(None, description="`binary_data_output`; `timeout` in microseconds.")
    inputs: list[RequestInput]
    outputs: list[RequestOutput] | None = Field(None, description="By default all.")


class ResponseOutput(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    parameters: Parameters | None = None
    data: list[Any] | None = None


class InferenceResponse(BaseModel):
    """An inference response."""

    model_name: str
    model_version: str
    id: str | None = Field(None, description="The request's, where it had one.")
    outputs: list[ResponseOutput]


class IndexRequest(BaseModel):
    ready: bool | None = Field(None, description="Only versions that are in memory.")


class IndexedVersion(BaseModel):
    name: str
    version: str
    state: str = Field(description="READY: in memory. UNAVAILABLE: not, see `reason`.")
    reason: str


class ControlRequest(BaseModel):
    parameters: Parameters | None = None


class Duration(BaseModel):
    count: int
    ns: int


class InferenceStatistics(BaseModel):
    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration
    cache_miss: Duration


class BatchStatistics(BaseModel):
    batch_size: int
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


class ModelStatistics(BaseModel):
    name: str
    version: str
    last_inference: int = Field(description="Milliseconds since 1970, 0 for never.")
    inference_count: int = Field(description="Pictures.")
    execution_count: int = Field(description="Runs of the engine.")
    inference_stats: InferenceStatistics
    batch_stats: list[BatchStatistics]


class StatisticsAnswer(BaseModel):
    model_stats: list[ModelStatistics]


REQUEST_SHAPES = (InferenceRequest, IndexRequest, ControlRequest)
