"""Ground costs c(x, y) of two points, and cost operands: the objects that equations take as `C`,
either a matrix or two point clouds with a ground cost."""
