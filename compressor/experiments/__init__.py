"""The experiments: what each trains, how it compresses, and which published or promised sizes it is meant to reach."""

from compressor.experiments.declared import EXPERIMENTS, experiment_named
from compressor.experiments.experiment import Experiment
from compressor.experiments.targets import ROWS, TIERS, Row, Target

__all__ = ["EXPERIMENTS", "ROWS", "TIERS", "Experiment", "Row", "Target", "experiment_named"]
