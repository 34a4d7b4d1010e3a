"""`refot bench`: refot beside every peer, on one grid of problems, held to one criterion.

problems (the grid) -> peers (an adapter each) -> criterion (what we compute on what they return)
-> worker, child (one process a peer and problem) -> search, timing (pairs of runs) -> report.
"""
