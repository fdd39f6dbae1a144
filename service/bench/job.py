"""What a run is asked to measure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from service.bench.catalog import check_names, own_engines, peers
from service.bench.rounds import Pace
from service.errors import BenchError

_LARGEST = 1024
_LARGEST_SEED = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Job:
    """Networks, engines and how they run.

    Attributes:
        networks: files and synthetic names.
        own, peers: names of engines, of `catalog.own_engines` and `catalog.peers`.
        device: "cpu", or "cuda", which adds the engines that run on a GPU.
        seed: what pictures and synthetic weights are drawn from.
        command: the line that was typed.

    Raises:
        BenchError: a name is unknown, a number outside its range, or something is named twice.
    """

    networks: tuple[str, ...]
    own: tuple[str, ...] = ("native", "numpy")
    peers: tuple[str, ...] = ()
    batches: tuple[int, ...] = (1, 16, 64)
    threads: tuple[int, ...] = (1,)
    pace: Pace = field(default_factory=Pace)
    seed: int = 0
    command: str = ""
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not self.networks:
            raise BenchError("networks: none named, must be one at least")
        check_names((self.device,), ("cpu", "cuda"), "device")
        check_names(self.own, own_engines(self.device), "engine")
        check_names(self.peers, peers(self.device), "peer")
        _check_numbers("batch", self.batches)
        _check_numbers("threads", self.threads)
        for network in self.networks:
            if self.networks.count(network) > 1:
                raise BenchError(f'network "{network}": named twice, must be once')
        if not 0 <= self.seed <= _LARGEST_SEED:
            raise BenchError(f"seed {self.seed}, must be in 0..{_LARGEST_SEED}")


def _check_numbers(name: str, values: Sequence[int]) -> None:
    if not values:
        raise BenchError(f"{name}: none named, must be one at least")
    for value in values:
        if not 1 <= value <= _LARGEST:
            raise BenchError(f"{name} {value}, must be in 1..{_LARGEST}")
        if values.count(value) > 1:
            raise BenchError(f"{name} {value}: named twice, must be once")
