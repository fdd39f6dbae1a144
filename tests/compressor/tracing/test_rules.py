import torch

from compressor.tracing.rules import RULES


def test_every_rule_is_for_an_operator_that_torch_has() -> None:
    for name in RULES:
        packet, overload = name.removeprefix("aten.").split(".")
        operator = getattr(getattr(torch.ops.aten, packet), overload)
        assert str(operator) == name
