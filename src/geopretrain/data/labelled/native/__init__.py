"""Data sets as they are released: one file each."""
