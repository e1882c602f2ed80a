"""The run folder and everything that trains a task into it: loop, resume, progress, the public commands."""

from geopretrain.engine.run_folder import RunFolder

__all__ = ["RunFolder"]
