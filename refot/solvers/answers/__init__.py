"""What is computed from the potentials of a solved problem: values, plans, maps, draws, files."""
