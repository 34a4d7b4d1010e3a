"""The zoo of unbalanced transport: solvers that are right, subjects made of them, and bugs."""

from refot.verification.zoo.unbalanced import (
    bugs_divergences,
    bugs_loops,
    bugs_plans,
    bugs_values,
    right,
    right_conventions,
)

__all__ = ["bugs_divergences", "bugs_loops", "bugs_plans", "bugs_values", "right",
           "right_conventions"]
