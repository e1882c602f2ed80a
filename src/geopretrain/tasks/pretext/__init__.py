"""Pre-training methods, one self-contained file each."""
