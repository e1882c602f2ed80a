"""The report of a comparison: one self-contained HTML page."""

from geopretrain.report.build import build_report

__all__ = ["build_report"]
