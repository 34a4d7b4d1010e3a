"""Whether the tests would notice a wrong equation: one thing in it is changed, and they are run."""
