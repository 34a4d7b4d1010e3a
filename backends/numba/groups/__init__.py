"""Sums over points that were put in order, by groups of neighbours in place of single points."""
