"""The one training loop: fit, record, resume."""
