"""Kernels for a CPU: pure functions over rows of pixels, compiled by Numba.

A loss out of tensor operations walks through memory dozens of times, which on a CPU takes longer than its
arithmetic. A kernel does all at once, row by row. These modules are imported only where they run, because
Numba takes half a second.
"""
