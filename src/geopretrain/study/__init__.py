"""Comparisons of initialisations: trials trained side by side, statistics, and the sentences they support."""

from geopretrain.study.comparison import Comparison
from geopretrain.study.statistics import PairedDifference, paired_difference

__all__ = ["Comparison", "PairedDifference", "paired_difference"]
