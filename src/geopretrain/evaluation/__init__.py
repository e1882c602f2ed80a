"""Scores of a trained network under named protocols."""
