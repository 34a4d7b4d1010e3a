"""The systems of the papers (training algorithms with their networks), one file each, and the code
that runs and records a training."""
