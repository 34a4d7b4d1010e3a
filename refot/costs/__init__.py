"""Ground costs c(x, y) of two points, and cost operands: the objects that equations take as `C`."""
