"""Every backend that is present computes what NumPy's does: the tests of `backend_parity`."""

from backend_parity import (  # noqa: F401
    test_gibbs,
    test_laplacian_solve,
    test_marginals,
    test_plan_apply,
    test_plan_cost,
    test_plan_cost_gradient,
    test_plan_entries,
    test_softmin,
    test_sparse_sweep,
    test_sweep,
    test_transposed_operand,
)
