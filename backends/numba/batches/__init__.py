"""Many small problems in one compiled call."""
