"""Who takes part in the benchmark: one file a family of packages."""
