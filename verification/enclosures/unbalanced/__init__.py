"""Unbalanced transport to 30 digits, proven in balls: values, plans, potentials and gradients.

    U = min_{P >= 0} <C,P> + eps KL(P | a(x)b) + D_1(P1 | a) + D_2(P'1 | b)        (U-1)

D_1 penalises the marginal p = P1 of the rows: rho KL(p | a), or rho TV(p | a) = rho sum |p - a|.
D_2 does the same for the columns. A rho of inf makes that marginal exact. The weights a, b >= 0
have any total. `rho` is a number, or a pair (rows, columns) of which at most one is inf; `penalty`
is "kl" or "tv". KL(p | q) = sum p log(p/q) - p + q.

    enclose.py      enclose_unbalanced(C, a, b, eps, rho, penalty="kl", digits=30)
                        value U, transport_cost <C,P>, mass, rows P1, columns P'1, plan,
                        f and g (None under "tv", where they need not be unique)
                    enclose_unbalanced_points(x, a, y, b, eps, rho, cost="sqeuclidean",
                                              penalty="kl", digits=30)
                    enclose_unbalanced_value(C, a, b, eps, rho, penalty="kl", digits=30)
    gradients.py    enclose_unbalanced_points_gradient(x, a, y, b, eps, rho, cost, penalty, digits)
                        dU/dx, (n, d)
                    enclose_unbalanced_weights_gradient(C, a, b, eps, rho, digits)
                        (dU/da (n,), dU/db (m,)), not centred; penalty KL
                    enclose_unbalanced_rho_gradient(C, a, b, eps, rho, penalty, digits)
                        (dU/drho_1, dU/drho_2), 0 for an exact side
    divergences.py  enclose_unbalanced_divergence(x, a, y, b, eps, rho, cost, penalty, digits)
                        S of U-8; rho a number
                    enclose_unbalanced_divergence_gradient(x, a, y, b, eps, rho, cost, penalty,
                                                           digits)
                        dS/dx, (n, d)
                    enclose_unbalanced_divergence_weights_gradient(x, a, y, b, eps, rho, cost,
                                                                   digits)
                        dS/da, (n,), not centred; penalty KL

Newton's method in multiple precision finds potentials (`newton.py`), which need not be right.
`proofs.py` has what can be proven from them, and docs/certificates.md why. `penalties.py` has what
differs between KL, TV and an exact marginal. U-1 to U-8 are equations of docs/equations.md."""
