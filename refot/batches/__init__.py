"""Many problems at once: each with its own stop, and the answers of single solves."""
