"""A trained network over pictures: what predict reads and writes, and depth teachers."""
