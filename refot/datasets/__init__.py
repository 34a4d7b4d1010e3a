"""Data to train and test on: made here, from packages, or read from files that are distrusted."""
