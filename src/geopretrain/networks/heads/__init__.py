"""Small learned parts beside the networks: focal length, metric scale."""
