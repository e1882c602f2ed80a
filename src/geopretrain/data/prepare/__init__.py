"""From videos and folders to a frame store: decode, resize, measure motion, choose samples."""
