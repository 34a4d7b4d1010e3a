"""Costs between points for tests: which parts of refot support which, and one that refot lacks."""
