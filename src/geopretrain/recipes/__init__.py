"""Ready-made studies: each is a fixed sequence of public calls."""
