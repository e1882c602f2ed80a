"""The run folder: what a training leaves behind, and reading it again."""
