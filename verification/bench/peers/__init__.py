"""The peers of the benchmark: adapters to solvers, a file for each package or kind of problem."""
