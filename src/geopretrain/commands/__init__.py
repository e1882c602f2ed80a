"""The public commands, one file each: options in, calls, what to do next."""
