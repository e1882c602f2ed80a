"""The camera of a video estimated from its own frames, by structure from motion (COLMAP)."""
