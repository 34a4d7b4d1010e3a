"""Losses and plans between two minibatches."""
