"""The runs of a sweep as tasks of a Ray cluster, with the extra `scale`; imported only when a sweep uses Ray.

All nodes see the folders of runs, store and records at the same paths. A run whose node is lost is started again on
another node by Ray, and goes on from the checkpoint in its folder.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from compressor.errors import CompressorError
from compressor.experiments.experiment import Experiment
from compressor.experiments.runner import Places
from compressor.experiments.sweep import Note, Outcome, startable

try:
    import ray
except ImportError:
    raise CompressorError('sweep: Ray is not installed; install "csrve[scale]", or give --local') from None


@dataclass(frozen=True, slots=True)
class Resources:
    """What one run is given, and how often it may lose its node.

    Attributes:
        cpus: cores, also torch's threads.
        gpus: 0, or a share of one, or several.
        retries: how often a run is started again whose process or node is lost; errors of its own are not retried.
    """

    cpus: int = 1
    gpus: float = 0.0
    retries: int = 3

    def __post_init__(self) -> None:
        for name, low in (("cpus", 1), ("gpus", 0), ("retries", 0)):
            value = getattr(self, name)
            if value < low:
                raise CompressorError(f"--{name} {value}, must be at least {low}")


def run_on_ray(
    plan: Sequence[Experiment],
    places: Places,
    run: Callable[[Experiment], Outcome],
    resources: Resources,
    note: Note,
    address: str | None = None,
) -> list[Outcome]:
    """Run the plan, as much at once as the cluster has room for; `note` is told of each run as it ends.

    Args:
        run: does one experiment, in a process of some node; pickled.
        address: of a cluster, "auto" for the one of this machine; None joins what is there, or starts one of its own.
    """
    started = not ray.is_initialized()
    if started:
        ray.init(address=address, log_to_driver=False)
    try:
        return _run_all(plan, places, run, resources, note)
    finally:
        if started:
            ray.shutdown()


def _run_all(
    plan: Sequence[Experiment],
    places: Places,
    run: Callable[[Experiment], Outcome],
    resources: Resources,
    note: Note,
) -> list[Outcome]:
    task = ray.remote(
        num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=resources.retries, retry_exceptions=False
    )(_apply)
    waiting, outcomes = list(plan), []
    running: dict[Any, Experiment] = {}
    while waiting or running:
        for experiment in startable(waiting, running.values(), places):
            waiting.remove(experiment)
            running[task.options(name=experiment.run_name()).remote(run, experiment)] = experiment
        (done,), _ = ray.wait(list(running))
        outcomes.append(_outcome(done, running.pop(done)))
        note(outcomes[-1])
    return outcomes


def _apply(run: Callable[[Experiment], Outcome], experiment: Experiment) -> Outcome:
    return run(experiment)  # Ray makes tasks of plain functions only


def _outcome(done: Any, experiment: Experiment) -> Outcome:
    try:
        outcome: Outcome = ray.get(done)
    except ray.exceptions.RayError as error:  # its node was lost too often, or the run broke in a way of its own
        return Outcome(experiment.run_name(), None, str(error).strip().splitlines()[-1])
    return outcome
