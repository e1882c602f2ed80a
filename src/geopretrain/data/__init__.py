"""Data: the protocol, readers of layouts, preparation, the frame store, labelled images, augmentation."""
