"""The torch engine's plan: a bundle on a torch device."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from model_store.bundle import Bundle
from service.engine.gpu.csr import size_of
from service.engine.gpu.devices import find_device, set_precision, using
from service.engine.gpu.geometry import MAX_PICTURES
from service.engine.gpu.network import WEIGHTED, build_network
from service.engine.gpu.options import TorchOptions
from service.engine.gpu.recordings import Record, Recordings
from service.engine.gpu.selection import Choice, Timer
from service.engine.lowering import ByteAccount, lower
from service.engine.plan import Array, check_batch


class TorchPlan:
    """A bundle on a torch device. On a GPU kernels are measured when it is made, and runs are recorded as graphs."""

    def __init__(
        self,
        bundle: Bundle,
        device: str,
        options: TorchOptions | None = None,
        timer: Timer | None = None,
        record: Record | None = None,
    ) -> None:
        """Move a bundle's weights to a device.

        Args:
            timer: measures kernels; a GPU's own where none is given. Elsewhere nothing is measured without one.
            record: records runs; a GPU's own where none is given. Elsewhere nothing is recorded without one.

        Raises:
            EngineUnavailable: torch knows no such device, or it is not there.
        """
        self._device = find_device(device)
        self._options = options or TorchOptions()
        if self._device.type == "cuda":
            from service.engine.gpu import cuda

            timer, record = timer or cuda.time_on_device, record or cuda.record
            set_precision(self._options.precision)
        self.name = f"torch on {self._device}"
        self.input_shape = bundle.preprocessing.input_shape
        self.classes = len(bundle.class_names)
        with using(self._device):
            self._network = build_network(lower(bundle), self.input_shape, self._device, self._options, timer)
        self._recordings = None if record is None else Recordings(self._execute, record, self._options.graphs)
        account = self._account(bundle)
        self.layer_bytes: Mapping[str, int] = account.layers
        self.weight_bytes = account.total

    @property
    def resident_bytes(self) -> int:
        """Bytes held between runs: weights of all chosen kernels, and what CUDA graphs keep for activations."""
        return self.weight_bytes + (0 if self._recordings is None else self._recordings.size_bytes)

    @property
    def choices(self) -> Mapping[str, Mapping[int, Choice]]:
        """Layer -> measured batch size -> what was found, for each step that has several candidates."""
        return {
            step.node.name: {batch: choices[index] for batch, choices in self._network.choices.items()}
            for index, step in enumerate(self._network.steps)
            if step.node.operator in WEIGHTED
        }

    @property
    def layer_kernels(self) -> Mapping[str, Mapping[int, str]]:
        """Layer -> measured batch size -> the kernel that runs it."""
        return {
            layer: {batch: choice.chosen.name for batch, choice in found.items()}
            for layer, found in self.choices.items()
        }

    def run(self, batch: Array) -> Array:
        """Logits float32 [n, classes] of float32 [n, channels, height, width].

        Raises:
            EngineFailure: the batch has another type or shape.
        """
        check_batch(batch, self.input_shape)
        with using(self._device):
            logits = self.run_on_device(torch.from_numpy(batch).to(self._device))
            return np.ascontiguousarray(logits.cpu().numpy())

    def run_on_device(self, pictures: Tensor) -> Tensor:
        """Logits float32 [n, classes] of float32 [n, channels, height, width], both on the plan's device.

        Unlike `run` it checks nothing, and does not wait for the device.
        """
        with using(self._device):
            parts = [self._run_part(part) for part in pictures.split(MAX_PICTURES)]
            return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _run_part(self, pictures: Tensor) -> Tensor:
        values = pictures.permute(1, 2, 3, 0).contiguous()
        logits = self._execute(values) if self._recordings is None else self._recordings(values)
        return logits.T

    def _execute(self, values: Tensor) -> Tensor:
        return self._network.run(values, self._options.measured_for(values.shape[-1]))

    def _account(self, bundle: Bundle) -> ByteAccount:
        account = ByteAccount(bundle.graph)
        for index, (step, epilogue) in enumerate(zip(self._network.steps, self._network.epilogues, strict=True)):
            account.add(step, "weight", size_of(*self._network.held(index)))
            for role, tensor in (("scale", epilogue.scale), ("bias", epilogue.bias)):
                if tensor is not None:
                    account.add(step, role, size_of(tensor))
        return account
