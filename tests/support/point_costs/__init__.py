"""Costs of points for tests: which of them who knows, and one that refot does not have."""
