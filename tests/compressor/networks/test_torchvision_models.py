import importlib.util

import pytest
import torch

from compressor.errors import NetworkError
from compressor.networks import build_network, input_shape_of
from compressor.networks.torchvision_models import MODELS
from tests.compressor.toys import exactly
from tests.compressor.tracing.drawn import traced_like

needs_torchvision = pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed"
)


@needs_torchvision
def test_a_model_of_torchvision_is_built_by_name_for_any_number_of_classes() -> None:
    network = build_network("torchvision:squeezenet1_1", 7).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 7)


@needs_torchvision
def test_a_traced_model_computes_what_it_did() -> None:
    """Its pools have ceil_mode; at this size the last windows of two of them hang over the edge."""
    torch.manual_seed(0)
    traced = traced_like(build_network("torchvision:squeezenet1_1", 5), (3, 58, 58))
    pads = [node.ints("pads") for node in traced.graph.nodes if node.operator == "MaxPool"]
    assert pads == [(0, 0, 1, 1), (0, 0, 1, 1), (0, 0, 0, 0)]


def test_every_model_has_its_own_picture_size() -> None:
    assert input_shape_of("torchvision:inception_v3") == (3, 299, 299)
    assert {input_shape_of(f"torchvision:{name}") for name in MODELS} == {(3, 224, 224), (3, 299, 299)}


def test_a_model_that_is_not_named_is_refused() -> None:
    message = f"--network torchvision:vit_b_16: unknown, must be one of {', '.join(MODELS)}"
    with pytest.raises(NetworkError, match=exactly(message)):
        input_shape_of("torchvision:vit_b_16")
