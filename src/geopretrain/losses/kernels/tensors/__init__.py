"""Gradients of the plain forms in tensor operations, for devices that have no kernel.

They are written out because an operator cannot ask autograd, and keep less than autograd would.
"""
