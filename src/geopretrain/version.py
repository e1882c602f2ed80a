"""The version, written here only: packaging, ``--version``, run folders and reports ask for it."""

__version__ = "0.2.0"
