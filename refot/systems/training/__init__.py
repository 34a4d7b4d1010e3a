"""Training of any system: the loop, the folder of a run, and loading a system from it."""
