"""Data to train and test on: drawn from a known law, taken from installed packages, or read from
files. Anyone may have made a file, and so its content is checked."""
