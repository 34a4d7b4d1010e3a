"""The harness: the loop, its folder, its pictures, and loading a finished run."""
