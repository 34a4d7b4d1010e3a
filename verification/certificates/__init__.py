"""Intervals that are proven to contain the true value, whatever potentials they are computed
from."""
