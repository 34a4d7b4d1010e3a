"""Many problems in one call. Each is solved to its own end, to what a solve of it alone would
give."""
