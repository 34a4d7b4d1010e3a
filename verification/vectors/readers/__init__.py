"""Readers of the certified vectors in five languages, at most 40 lines each, to be copied."""
