"""The data sets that are known by name: what each needs, where users get it, and whether a copy is whole."""
