"""Intervals in float64 that are proven to contain the true value of a problem.

Any potentials give an interval: poor ones a wide interval, never a wrong one."""
