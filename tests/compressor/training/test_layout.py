import torch

from compressor.training.layout import with_layout
from tests.compressor.toys import toy_net


def test_weights_are_laid_out_anew_in_place_and_keep_their_values() -> None:
    network = toy_net()
    weight = network.conv2.weight
    assert with_layout(network, torch.channels_last) is network
    assert network.conv2.weight is weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()
    assert torch.equal(weight, toy_net().conv2.weight)
    assert with_layout(network, torch.contiguous_format).get_parameter("conv2.weight").is_contiguous()
