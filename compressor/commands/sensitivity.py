"""`sensitivity`: prune one layer at a time, measure, plot, and say which thresholds an allowed loss permits."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from torch import nn
from tqdm import tqdm

from compressor.commands.options import DATA_HELP, add_device, choose_device
from compressor.commands.sources import add_network, load_network, network_shape
from compressor.data import ImageSet, load_images, split_images
from compressor.errors import CheckpointError, CompressorError, RecipeError
from compressor.holdout import holdout_doubt, warning_of
from compressor.layer_rules import render_rules
from compressor.networks.card import NetworkCard
from compressor.networks.weights import weights_digest
from compressor.plots.canvas import new_figure, save_figure
from compressor.plots.sensitivity import plot_sensitivity
from compressor.pruning.masks import prunable_parameters
from compressor.pruning.sensitivity import LADDERS, Ladder, Measurement, qualities_within, scan_sensitivity
from compressor.recipes import CompressRecipe, inherit_split
from compressor.record import surroundings
from compressor.stages import fingerprint_of
from compressor.training.evaluation import accuracy_of
from compressor.training.files import write_text
from model_store.preprocessing import Preprocessing

NAME = "sensitivity"
SUMMARY = "Prune one layer at a time and measure on the holdout; the same command after a kill goes on."
RECORD, PICTURES = "sensitivity.json", ("sensitivity.png", "sensitivity.svg")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_network(parser)
    parser.add_argument("--weights", required=True, type=Path, help=".safetensors, or .pth of plain tensors")
    parser.add_argument("--data", required=True, help=DATA_HELP)
    parser.add_argument("--output", required=True, type=Path, help="folder of the record and the plot")
    parser.add_argument("--by", default="quality", choices=LADDERS, help="what the steps are (default: quality)")
    parser.add_argument("--steps", help="such as 0.5,1.0,1.5 (default: eight of them)")
    parser.add_argument("--allowed-loss", type=float, default=0.01, help="of accuracy, 0..1 (default: 0.01)")
    parser.add_argument(
        "--holdout", type=int, help="pictures of train to measure on (default: what training set aside)"
    )
    parser.add_argument("--seed", type=int, help="of that split (default: that of training)")
    add_device(parser)


def run(options: argparse.Namespace) -> None:
    """Measure what is not measured yet, then write the plot and print the thresholds."""
    if not 0 <= options.allowed_loss <= 1:
        raise RecipeError(f"--allowed-loss {options.allowed_loss}, must be in 0..1")
    ladder, device = _ladder(options), choose_device(options)
    new_figure(1, 1)  # a missing matplotlib is said before the work, not after it
    images = load_images(options.data, "train", network_shape(options, options.weights), progress=not options.quiet)
    network, card = load_network(options, options.weights, images)
    split = _split(options, card)
    holdout = split_images(images, *split)[1]
    doubt = holdout_doubt(card.training, images.digest, *split)
    if doubt is not None and not options.quiet:
        print(warning_of(doubt))
    inputs = {
        "weights": weights_digest(network), "data": images.digest, "split": split, "by": ladder.by,
        "card": dataclasses.asdict(card)["preprocessing"],
    }  # fmt: skip
    scan = _Scan(options.output / RECORD, fingerprint_of(inputs), ladder, card.network)
    scan.measure(network.to(device).eval(), holdout, card.preprocessing, progress=not options.quiet)
    _report(options, scan)


def _ladder(options: argparse.Namespace) -> Ladder:
    try:
        steps = tuple(float(part) for part in options.steps.split(",")) if options.steps else LADDERS[options.by]
    except ValueError as error:
        raise RecipeError(f"--steps {options.steps}: must be numbers with commas between") from error
    return Ladder(options.by, steps)


def _split(options: argparse.Namespace, card: NetworkCard) -> tuple[int, int]:
    """(holdout, seed): as given, else as training had it, else as compressing would."""
    recipe = inherit_split(CompressRecipe(), card)
    holdout = recipe.holdout if options.holdout is None else options.holdout
    return holdout, recipe.seed if options.seed is None else options.seed


class _Scan:
    """The record of a scan, on disk after every measurement."""

    def __init__(self, path: Path, fingerprint: str, ladder: Ladder, network: str) -> None:
        self.path = path
        self.ladder = ladder
        self.fields: dict[str, Any] = {
            "fingerprint": fingerprint, "network": network, "by": ladder.by, "dense_accuracy": None,
            "measurements": [],
        }  # fmt: skip
        if path.exists():
            self._resume()

    def _resume(self) -> None:
        try:
            fields = json.loads(self.path.read_text())
            matches = fields["fingerprint"] == self.fields["fingerprint"]
            [Measurement(**item) for item in fields["measurements"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{self.path}: not the record of a scan ({error!r})") from error
        if not matches:
            raise CheckpointError(f"{self.path}: of other weights, data or steps; remove it or give another --output")
        self.fields = fields

    @property
    def measurements(self) -> list[Measurement]:
        """Those of this ladder, in the order of the network's layers."""
        all_of_them = (Measurement(**item) for item in self.fields["measurements"])
        return [measurement for measurement in all_of_them if measurement.step in self.ladder.steps]

    def measure(self, network: nn.Module, holdout: ImageSet, preprocessing: Preprocessing, *, progress: bool) -> None:
        done = {(measurement.layer, measurement.step) for measurement in self.measurements}
        count = len(prunable_parameters(network)) * len(self.ladder.steps)
        self.fields |= {"pictures": len(holdout), **surroundings()}
        if self.fields["dense_accuracy"] is None:
            self.fields["dense_accuracy"] = accuracy_of(network, holdout, preprocessing)
        bar = tqdm(total=count, initial=len(done), desc=NAME, unit=" measurements", disable=not progress)
        with bar:
            for found in scan_sensitivity(
                network, self.ladder, lambda: accuracy_of(network, holdout, preprocessing), done
            ):
                self.fields["measurements"].append(dataclasses.asdict(found))
                self._save()
                bar.set_postfix_str(f"{found.layer} at {found.step:g}: {found.accuracy:.2%}")
                bar.update()
        self._save()

    def _save(self) -> None:
        write_text(self.path, json.dumps(self.fields, indent=2, sort_keys=True) + "\n")


def _report(options: argparse.Namespace, scan: _Scan) -> None:
    dense = scan.fields["dense_accuracy"]
    if not scan.measurements:
        raise CompressorError(f"{scan.path}: nothing was measured")
    figure = plot_sensitivity(
        f"{scan.fields['network']}: one layer pruned at a time", scan.measurements, dense, options.allowed_loss
    )
    for name in PICTURES:
        save_figure(figure, options.output / name)
    rules = qualities_within(scan.measurements, dense - options.allowed_loss)
    print(f"dense {dense:.2%} on {scan.fields['pictures']} pictures; {scan.path} and {', '.join(PICTURES)} beside it")
    print(f"each layer alone within {options.allowed_loss:.2%}: --method threshold --quality {render_rules(rules)}")
