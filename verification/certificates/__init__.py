"""Certificates: intervals in float64 that are proven to contain the true value of a problem.

Any potentials give an interval: poor ones a wide interval, never a wrong one. The folder also holds
rounding bounds: how far an answer that is computed in float64 may be from the true one."""
