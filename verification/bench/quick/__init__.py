"""`refot bench --quick`: a fixed selection of every kind of work, kept as JSON by version."""
