"""Whoever asks a subject and collects the results."""
