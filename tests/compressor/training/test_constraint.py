import torch

from compressor.training.constraint import Constraint, Unconstrained
from tests.compressor.toys import toy_net


def test_plain_training_binds_nothing() -> None:
    constraint: Constraint = Unconstrained()
    network = toy_net()
    constraint.before_step(network)
    constraint.after_step(network, 0.5)
    constraint.project(dict(network.named_parameters()))
    constraint.restore(constraint.state())
    assert constraint.state() == {}
    assert all(torch.equal(value, toy_net().state_dict()[name]) for name, value in network.state_dict().items())
