"""What is computed from the potentials of a solved problem: values, plans, maps, draws, files;
and gauges, the rules that fix the constant t in (f + t, g - t)."""
