"""Training of any system: the loop, the folder of a run, and loading what a run left."""
