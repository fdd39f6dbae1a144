"""Several processes that train one network together, one for each GPU, as torchrun starts them.

Each process takes its share of every batch, and gradients are averaged (DistributedDataParallel; Li et al. 2020,
section 3), so a recipe means the same however many there are: `batch_size` is that of all of them. What is written,
printed and published is the first one's. Without torchrun there is one process, and nothing here does anything.
"""

import contextlib
import datetime
import os
import sys
from collections.abc import Iterator

import torch
from torch import Tensor, distributed, nn

from compressor.errors import CompressorError

PATIENCE = datetime.timedelta(hours=2)  # of processes that wait while the first measures and encodes
BACKENDS = {"cpu": "gloo", "cuda": "nccl"}
RANK_ON_HOST = "LOCAL_RANK"  # what torchrun sets


def process_count() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_first() -> bool:
    """Whether this is the process that writes, prints and publishes."""
    return rank() == 0


def own_device(name: str) -> str:
    """What `--device` means here: `cuda` is the GPU of this process."""
    return f"cuda:{os.environ[RANK_ON_HOST]}" if name == "cuda" and process_count() > 1 else name


@contextlib.contextmanager
def joined_processes() -> Iterator[None]:
    """Join the processes that torchrun started, all but the first of which say nothing; alone where it started none."""
    if not distributed.is_torchelastic_launched():
        yield
        return
    backend = ",".join(f"{device}:{name}" for device, name in BACKENDS.items() if device == "cpu" or _has_gpus())
    if _has_gpus():
        torch.cuda.set_device(int(os.environ[RANK_ON_HOST]))
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        with contextlib.nullcontext() if is_first() else _silence():
            yield
    finally:
        distributed.destroy_process_group()


def _has_gpus() -> bool:
    return torch.cuda.device_count() > int(os.environ[RANK_ON_HOST])


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        error, sys.stderr = sys.stderr, nowhere
        try:
            yield
        except BaseException:
            sys.stderr = error  # what stops this process stops all: let it be seen
            raise
        finally:
            sys.stderr = error


def wait_for_all() -> None:
    """Return when every process has come here."""
    if process_count() > 1:
        distributed.barrier()


@contextlib.contextmanager
def first_before_others() -> Iterator[None]:
    """The first process goes in; the others follow when it has left, and find what it wrote."""
    if not is_first():
        wait_for_all()
    yield
    if is_first():
        wait_for_all()


def own_share(batch_size: int) -> slice:
    """The part of every batch that this process takes.

    Raises:
        CompressorError: the batch cannot be cut into equal parts.
    """
    part, rest = divmod(batch_size, process_count())
    if rest:
        raise CompressorError(f"batch_size = {batch_size}, must be a multiple of the {process_count()} processes")
    return slice(rank() * part, (rank() + 1) * part)


def with_shared_gradients(network: nn.Module) -> nn.Module:
    """What to call in place of the network, so that its gradients become the mean of all processes'."""
    if process_count() == 1:
        return network
    return nn.parallel.DistributedDataParallel(network)


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of every process's `value`, the same to the last bit in all of them."""
    if process_count() == 1:
        return value
    total = value.detach().clone()
    distributed.all_reduce(total)
    return total / process_count()


@torch.no_grad()
def take_from_first(network: nn.Module) -> None:
    """Give every process the first one's weights and buffers: BatchNorm has seen other pictures in each."""
    if process_count() > 1:
        for tensor in network.state_dict().values():
            distributed.broadcast(tensor, 0)
