"""`experiment`: run what is declared in `compressor.experiments` by name; without a name, list it."""

import argparse
import json
from pathlib import Path

from compressor.commands.options import DATA_HELP, add_device, choose_device
from compressor.experiments import ALL, TIERS, experiment_named
from compressor.experiments.runner import ExperimentRun, Places
from model_store.description import render_table

NAME = "experiment"
SUMMARY = "Run a declared experiment by name (training, compression, record); without a name, list them."
RECORDS = Path("docs/results")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="one of the list; without it the list is printed")
    parser.add_argument("--resume", action="store_true", help="go on with a run that has begun")
    parser.add_argument("--seed", type=int, help="one seed only (default: all that the experiment declares)")
    parser.add_argument("--data", help=f"{DATA_HELP} (default: what the experiment declares)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    parser.add_argument("--store", type=Path, default=Path("runs/store"), help="where bundles go (default: runs/store)")
    parser.add_argument("--records", type=Path, default=RECORDS, help=f"folder of records (default: {RECORDS})")
    parser.add_argument("--smoke", action="store_true", help="one epoch of few pictures, no record: does it work here?")
    add_device(parser)


def run(options: argparse.Namespace) -> None:
    """Run every seed asked for, one after the other."""
    if options.name is None:
        print("\n".join(_listed()))
        return
    experiment = experiment_named(options.name)
    experiment.check_files()
    if options.smoke:
        experiment = experiment.smoke()
    device = choose_device(options)
    places = Places(
        options.data or experiment.data, options.runs, options.store, None if options.smoke else options.records
    )
    for seed in experiment.seeds if options.seed is None else (options.seed,):
        seeded = experiment.with_seed(seed)
        run = ExperimentRun(seeded, places, device, smoke=options.smoke, progress=not options.quiet)
        path = run.run(resume=options.resume)
        record = json.loads(path.read_text())
        verdict = "met" if seeded.target.met_by(record) else "not met"
        print(
            f"{path}: {record['bundle_bytes']} bytes at {record['accuracy']:.2%}; "
            f"{TIERS.get(seeded.tier, seeded.tier)}, {seeded.target}: {verdict}"
        )


def _listed() -> list[str]:
    rows = [["experiment", "target", "seeds", "epochs", "wants"]]
    for name, experiment in ALL.items():
        parts = (experiment.train, experiment.compress.retrain, experiment.compress.centroids)
        epochs = "+".join(str(part.epochs) for part in parts if part is not None)
        wants = "a GPU" if experiment.accelerator else "a CPU"
        rows.append([name, f"{experiment.target}", str(len(experiment.seeds)), epochs, wants])
    return render_table(rows)
