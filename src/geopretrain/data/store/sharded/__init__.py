"""A store in shards elsewhere: in object storage, on another disk, wherever fsspec reads."""
