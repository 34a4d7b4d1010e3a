"""Starts for large problems, from the potentials of the same problem with fewer points."""
