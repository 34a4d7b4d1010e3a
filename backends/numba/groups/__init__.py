"""Sums over sorted points, which treat groups of neighbours together, not each pair of points."""
