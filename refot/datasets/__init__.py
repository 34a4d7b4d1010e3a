"""Data to train and test on: made here, from packages, or read from files that anyone may have
made, which are checked."""
