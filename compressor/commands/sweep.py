"""`sweep`: run many declared experiments, each at its seeds, as tasks of a Ray cluster or one after the other."""

import argparse
import functools
import sys
from pathlib import Path

import torch
from tqdm import tqdm

from compressor.commands.experiment import RECORDS
from compressor.commands.options import DATA_HELP
from compressor.data.torchvision_sets import TORCHVISION_SETS
from compressor.errors import CompressorError
from compressor.experiments import EXPERIMENTS, TIERS
from compressor.experiments.experiment import Experiment
from compressor.experiments.runner import ExperimentRun, Places
from compressor.experiments.sweep import Note, Outcome, is_done, plan_sweep, run_in_turn
from model_store.errors import StoreError

NAME = "sweep"
SUMMARY = "Run many declared experiments as Ray tasks (or --local); what has its record already is not run again."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="EXPERIMENT", help="which (default: all that the rest leaves)")
    networks = sorted({experiment.network for experiment in EXPERIMENTS.values()})
    parser.add_argument("--network", action="append", choices=networks, default=[], help="of this network; repeatable")
    parser.add_argument("--tier", action="append", choices=TIERS, default=[], help="of this tier; repeatable")
    parser.add_argument("--seed", action="append", type=int, default=[], help="instead of those declared; repeatable")
    parser.add_argument("--data", help=f"{DATA_HELP} (default: what each experiment declares)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    parser.add_argument("--store", type=Path, default=Path("runs/store"), help="where bundles go (default: runs/store)")
    parser.add_argument("--records", type=Path, default=RECORDS, help=f"folder of records (default: {RECORDS})")
    parser.add_argument("--local", action="store_true", help="one after the other in this process, without Ray")
    parser.add_argument("--address", help="of the Ray cluster; auto: this machine's (default: one of its own)")
    parser.add_argument("--cpus", type=int, default=1, help="cores of one run (default: 1)")
    parser.add_argument("--gpus", type=float, default=0.0, help="GPUs of one run, a share too (default: 0)")
    parser.add_argument("--retries", type=int, default=3, help="of a run whose node is lost (default: 3)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(options: argparse.Namespace) -> None:
    """Run what is not done.

    Raises:
        CompressorError: some runs failed (the others were done), what one begins with is not there, or Ray is not
            installed.
    """
    plan = plan_sweep(options.names, options.network, options.tier, options.seed)
    # Tasks run in other folders than this one.
    runs, store, records = (path.absolute() for path in (options.runs, options.store, options.records))
    data = options.data or ""
    places = Places(data if data in ("", *TORCHVISION_SETS) else str(Path(data).absolute()), runs, store, records)
    waiting = [experiment for experiment in plan if not is_done(experiment, places)]
    for experiment in waiting:
        experiment.check_files()
    waiting = [experiment.from_here() for experiment in waiting]
    with tqdm(total=len(plan), initial=len(plan) - len(waiting), unit="run", disable=options.quiet) as bar:

        def note(outcome: Outcome) -> None:
            bar.update()
            bar.write(f"{outcome.run}: {outcome.record or outcome.error}", file=sys.stdout)

        outcomes = _run_all(options, places, waiting, note)
    failed = [outcome.run for outcome in outcomes if outcome.record is None]
    if failed:
        raise CompressorError(f"sweep: {len(failed)} of {len(plan)} runs failed: {', '.join(failed)}")


def _run_all(options: argparse.Namespace, places: Places, waiting: list[Experiment], note: Note) -> list[Outcome]:
    one = functools.partial(run_one, places=places, cpus=options.cpus, cuda=options.gpus > 0)
    if options.local:
        return run_in_turn(waiting, one, note)
    from compressor.experiments.on_ray import Resources, run_on_ray  # only now: Ray is an extra

    resources = Resources(options.cpus, options.gpus, options.retries)
    return run_on_ray(waiting, places, one, resources, note, options.address)


def run_one(experiment: Experiment, places: Places, cpus: int, cuda: bool) -> Outcome:
    """Run, or go on with, one experiment; an error that it raises for a reason becomes its outcome."""
    torch.set_num_threads(cpus)
    if not places.data:
        places = Places(experiment.data, places.runs, places.store, places.records)
    device = torch.device("cuda" if cuda else "cpu")
    try:
        record = ExperimentRun(experiment, places, device, progress=False).run(resume=True)
    except (CompressorError, StoreError, OSError) as error:
        return Outcome(experiment.run_name(), None, " ".join(str(error).split()))
    return Outcome(experiment.run_name(), record)
