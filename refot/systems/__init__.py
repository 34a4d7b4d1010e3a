"""The systems, which are the papers' algorithms for training networks, and all that runs them:
tasks, presets, and the code that runs and records a training."""
