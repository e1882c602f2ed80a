"""Augmentation of whole batches on the device they are on."""
