"""Numbers that say how good a trained model is."""
