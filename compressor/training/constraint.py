"""What may bind the weights while they train: masks, shared values, nothing."""

from typing import Protocol

from torch import Tensor, nn


class Constraint(Protocol):
    """Called by the trainer around every optimiser step; a mask or a codebook implements it."""

    def before_step(self, network: nn.Module) -> None:
        """After the gradients are there, before the optimiser uses them."""

    def after_step(self, network: nn.Module, progress: float) -> None:
        """After the optimiser moved the weights; `progress` is the share (0..1) of all steps done, this one included:
        1 after the last, however few there are."""

    def project(self, tensors: dict[str, Tensor]) -> None:
        """Bring averaged weights, by parameter name, back into the constrained set, in place."""

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint must hold to go on later."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take up the state of a checkpoint."""


class Together:
    """Several constraints, each on weights of its own."""

    def __init__(self, *constraints: Constraint) -> None:
        self.constraints = constraints

    def before_step(self, network: nn.Module) -> None:
        for constraint in self.constraints:
            constraint.before_step(network)

    def after_step(self, network: nn.Module, progress: float) -> None:
        for constraint in self.constraints:
            constraint.after_step(network, progress)

    def project(self, tensors: dict[str, Tensor]) -> None:
        for constraint in self.constraints:
            constraint.project(tensors)

    def state(self) -> dict[str, Tensor]:
        states = enumerate(constraint.state() for constraint in self.constraints)
        return {f"{number}.{name}": value for number, state in states for name, value in state.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        for number, constraint in enumerate(self.constraints):
            prefix = f"{number}."
            mine = {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}
            constraint.restore(mine)


class Unconstrained:
    """Plain training."""

    def before_step(self, network: nn.Module) -> None: ...

    def after_step(self, network: nn.Module, progress: float) -> None: ...

    def project(self, tensors: dict[str, Tensor]) -> None: ...

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: dict[str, Tensor]) -> None: ...
