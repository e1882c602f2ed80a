"""Data: readers of layouts, preparation, the frame store, labelled sets, augmentation, and their protocol."""
