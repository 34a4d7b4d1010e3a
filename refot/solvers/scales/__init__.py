"""Coarser clouds, and the potentials that they give to finer ones."""
