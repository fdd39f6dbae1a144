"""The torch engine: a bundle on a GPU, each layer by the kernel that measured fastest there (docs/engine.md).

Imported only when a torch device is asked for; the CPU path of the service imports neither torch nor triton.

A value lies as [channel][row][column][picture], features as [feature][picture]: the pictures of a batch side by side,
so that a tap of a filter is one offset for all of them, and neighbouring threads read neighbouring numbers.
"""

from model_store.bundle import Bundle, decode_coded
from model_store.coded import CodedBundle
from service.engine.gpu.decoding import decode_tensors_on
from service.engine.gpu.devices import find_device, using
from service.engine.gpu.plan import TorchPlan

__all__ = ["TorchPlan", "decode_on"]


def decode_on(device: str, coded: CodedBundle) -> Bundle:
    """A bundle whose shared tensors were decoded on a device, and stay there.

    Raises:
        EngineUnavailable: torch knows no such device, or it is not there.
        MalformedBundle: a stream does not decode to what its tensor says.
    """
    found = find_device(device)
    with using(found):
        return decode_coded(coded, decode=lambda given: decode_tensors_on(found, given))
