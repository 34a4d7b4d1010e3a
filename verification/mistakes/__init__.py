"""The catalogue of known mistakes: the id of each, a sentence about it, and its wrong answers."""
