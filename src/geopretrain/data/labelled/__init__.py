"""Labelled images: class maps and known flow, whatever their layout on disk."""
