"""A network's steps on a device, each with the kernel that was chosen for it at each measured batch size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from model_store.graph import INPUT
from model_store.shapes import Shape
from service.engine.gpu.epilogue import Epilogue
from service.engine.gpu.layers import Candidate, Layer
from service.engine.gpu.operators import operator_of
from service.engine.gpu.options import TorchOptions
from service.engine.gpu.selection import Choice, Timer, choose
from service.engine.lowering import Step

WEIGHTED = frozenset({"Conv", "Gemm"})


@dataclass(frozen=True, slots=True, eq=False)
class DeviceStep:
    """A step with the ways in which it can run, the plainest first."""

    step: Step
    epilogue: Epilogue
    candidates: Sequence[Candidate]

    @classmethod
    def of(cls, step: Step, input_shape: Shape, device: torch.device, options: TorchOptions) -> "DeviceStep":
        """Move what a step needs to a device, for each of its candidates."""
        epilogue = Epilogue.of(step, device)
        if step.node.operator in WEIGHTED:
            return cls(step, epilogue, Layer(step, input_shape, epilogue, device).candidates(options))
        if step.node.operator == "BatchNormalization":
            normalize = Candidate(step.node.operator, lambda value, residual=None: epilogue.apply(value, residual))
            return cls(step, epilogue, [normalize])
        return cls(step, epilogue, [operator_of(step, input_shape, device)])


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """All steps in order.

    Attributes:
        steps: without their weights, which the chosen kernels hold.
        choices: measured batch size -> the choice of each step.
    """

    steps: tuple[Step, ...]
    epilogues: tuple[Epilogue, ...]
    choices: Mapping[int, tuple[Choice, ...]]

    def run(self, values: Tensor, batch: int) -> Tensor:
        """Logits [classes, n] of pictures [channels, height, width, n], by the kernels chosen for `batch`."""
        return _run(self.steps, self.choices[batch], values)

    def held(self, index: int) -> list[Tensor]:
        """What a step's chosen kernels hold beyond scale and bias, each tensor once."""
        tensors = [tensor for choices in self.choices.values() for tensor in choices[index].chosen.held]
        return list({tensor.data_ptr(): tensor for tensor in tensors}.values())


def build_network(
    steps: tuple[Step, ...], input_shape: Shape, device: torch.device, options: TorchOptions, timer: Timer | None
) -> Network:
    """Put steps on a device, and choose their kernels: the plainest ones without a timer."""
    shapes: dict[int, Shape] = {INPUT: input_shape} | {step.output: step.shape for step in steps}
    found = [DeviceStep.of(step, shapes[step.inputs[0]], device, options) for step in steps]
    choices: dict[int, tuple[Choice, ...]] = {}
    for batch in options.batches:
        if timer is None:
            choices[batch] = tuple(Choice(item.candidates[0]) for item in found)
            continue
        draw = _drawing(device, batch)
        best = tuple(choose(item.candidates, [draw(shapes[v]) for v in item.step.reads], timer) for item in found)
        choices[batch] = _mixed_or_dense(steps, best, _dense_throughout(found, best), draw(input_shape), timer)
    bare = tuple(replace(step, weight=None) for step in steps)
    return Network(bare, tuple(item.epilogue for item in found), choices)


def _drawing(device: torch.device, batch: int) -> Callable[[Shape], Tensor]:
    """Random values for a batch of pictures: products take as long for zeros, but agreement shows on numbers."""
    generator = torch.Generator(device=device).manual_seed(0)
    return lambda shape: torch.randn((*shape, batch), device=device, generator=generator)


def _dense_throughout(found: Sequence[DeviceStep], best: Sequence[Choice]) -> tuple[Choice, ...]:
    """The choices with each layer's fastest dense kernel, where it has one that was measured."""
    dense = []
    for item, choice in zip(found, best, strict=True):
        names = [name for name in choice.seconds if name.startswith("dense-")]
        fastest = min(names, key=lambda name: choice.seconds[name], default="")
        (chosen,) = [c for c in item.candidates if c.name == fastest] or [choice.chosen]
        dense.append(replace(choice, chosen=chosen))
    return tuple(dense)


def _mixed_or_dense(
    steps: Sequence[Step], best: tuple[Choice, ...], dense: tuple[Choice, ...], values: Tensor, timer: Timer
) -> tuple[Choice, ...]:
    """Whichever network is faster as a whole: between kernels that lay values out alike nothing is copied."""
    if all(a.chosen is b.chosen for a, b in zip(best, dense, strict=True)):
        return best
    mixed_s = timer("network of mixed kernels", partial(_run, steps, best, values))
    dense_s = timer("network of dense kernels", partial(_run, steps, dense, values))
    return best if mixed_s <= dense_s else dense


def _run(steps: Sequence[Step], choices: Sequence[Choice], values: Tensor) -> Tensor:
    held = {INPUT: values}
    for step, choice in zip(steps, choices, strict=True):
        result = choice.chosen.run(*(held[value] for value in step.reads))
        for value in step.frees:
            del held[value]
        held[step.output] = result
    return result
