"""Intervals that provably contain the true value, from any potentials."""
