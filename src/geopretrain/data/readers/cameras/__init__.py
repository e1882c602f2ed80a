"""Cameras that a user already has: files of others read, what a lens bends undone."""
