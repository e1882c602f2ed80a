"""Decoders that stand on a backbone's feature pyramid."""
