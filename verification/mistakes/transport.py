"""Known mistakes of plans, potentials, values, and transport costs.

Many of them solve a wrong problem rightly, such as that of eps / 2. One table of such neighbouring
problems serves all four capabilities. The other tables compute a wrong answer from the solution of
the right problem. That is a `Truth`, written t: t.F is the value with eps KL, t.s the sharp cost
<C,P>, t.kl is KL(P | a(x)b), and t.kantorovich the value W0 without regularisation.

Papers: B = Bréchet et al. 2019, L = Liu et al.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from refot.arrays import Array
from refot.objectives import entropy
from refot.verification.truth.right import right_sums, sums
from refot.verification.truth.solution import Truth, solution

from .mistake import Answer, Table, each
from .updates import of_wrong_sums

Problem: TypeAlias = tuple[Array, Array, Array, float]
"""(C, a, b, eps)."""


def even(weights: Array) -> Array:
    """Uniform weights, as many as those given."""
    return np.full_like(weights, 1 / len(weights))


def square(C: Array) -> bool:
    """Whether n = m. Otherwise a transposed cost has a wrong shape, so that an implementation with
    this mistake raises an error and needs no diagnosis."""
    return bool(C.shape[0] == C.shape[1])


# ------------------------------------------------------------------ neighbouring problems
def _transposed(C: Array, a: Array, b: Array, eps: float) -> Problem | None:
    return (np.ascontiguousarray(C.T), a, b, eps) if square(C) else None


def _over(scale: Callable[[Array], Any]) -> Callable[..., Problem | None]:
    """The problem with its cost divided by the number scale(|C|), such as the largest entry."""

    def change(C: Array, a: Array, b: Array, eps: float) -> Problem | None:
        t = float(scale(abs(C)))
        return (C / t, a, b, eps) if t > 0 else None

    return change


def _powered(power: float) -> Callable[..., Problem | None]:
    return lambda C, a, b, eps: (C**power, a, b, eps) if (C >= 0).all() else None


NEIGHBOURS: Table = {
    "eps-halved": ("eps is halved", lambda C, a, b, eps: (C, a, b, eps / 2)),
    "eps-doubled": ("eps is doubled", lambda C, a, b, eps: (C, a, b, 2 * eps)),
    "cost-halved": ("the cost is halved (c / 2)", lambda C, a, b, eps: (C / 2, a, b, eps)),
    "cost-doubled": ("the cost is doubled", lambda C, a, b, eps: (2 * C, a, b, eps)),
    "cost-divided-by-eps": ("the cost is divided by eps twice",
        lambda C, a, b, eps: (C / eps, a, b, eps)),
    "eps-squared": ("eps is squared: eps = blur^2 is another parameter",
        lambda C, a, b, eps: (C, a, b, eps**2)),
    "eps-inverted": ("the parameter is gamma = 1 / eps", lambda C, a, b, eps: (C, a, b, 1 / eps)),
    "cost-divided-by-maximum": ("the cost is divided by its maximum", _over(np.max)),
    "cost-divided-by-mean": ("the cost is divided by its mean", _over(np.mean)),
    "cost-transposed": ("the cost is transposed", _transposed),
    "weights-ignored": ("the weights a and b are ignored (uniform ones used)",
        lambda C, a, b, eps: (C, even(a), even(b), eps)),
    "weights-a-ignored": ("the weights a are ignored (uniform ones used)",
        lambda C, a, b, eps: (C, even(a), b, eps)),
    "weights-b-ignored": ("the weights b are ignored (uniform ones used)",
        lambda C, a, b, eps: (C, a, even(b), eps)),
    "weights-exchanged": ("the weights a and b are exchanged",
        lambda C, a, b, eps: (C, b, a, eps) if len(a) == len(b) else None),
    "cost-squared": ("the cost is squared (the norm is squared)", _powered(2)),
    "root-of-cost": ("the root of the cost is taken (the plain norm for the squared one)",
        _powered(0.5)),
}
"""For each mistake, the problem (C, a, b, eps) that is solved in place of the given one; None where
the mistake cannot be made."""

RELATIVE: Table = {
    "eps-relative": ("eps is relative to the largest cost: eps max|C| stands in its place",
        lambda C, a, b, eps: (C, a, b, eps * float(abs(C).max())) if C.any() else None),
}
"""A neighbouring problem for the capabilities that return a number only. Its plan is the plan of
"cost-divided-by-maximum", so that plans cannot tell the two mistakes apart."""


def _of_neighbours(answer: Callable[[Truth], Any], problems: Table = NEIGHBOURS) -> Table:
    """The mistakes of a capability that solve a neighbouring problem. `answer` takes the answer of
    the capability from the solution of that problem."""

    def at_neighbour(change: Callable[..., Problem | None]) -> Answer:
        def alternative(*problem: Any) -> Any:
            changed = change(*problem)
            return None if changed is None else answer(solution(*changed))

        return alternative

    return each(problems, at_neighbour)


def _of_solution(answer: Callable[[Truth], Any]) -> Answer:
    return lambda *problem: answer(solution(*problem))


# ------------------------------------------------------------------ values
def _entropies(t: Truth) -> float:
    """eps (H(a) + H(b)), by which eps KL(P | a(x)b) exceeds -eps H(P)."""
    return t.case.eps * (entropy(t.a) + entropy(t.b))


def _mean_cost(t: Truth) -> float:
    return float(t.a @ t.C @ t.b)


def _kl_uniform(t: Truth) -> float:
    """<C,P> + eps KL(P | uniform on the n m pairs)."""
    return t.s + t.case.eps * (float(np.log(t.C.size)) - entropy(t.plan))


def _log_b_missing(t: Truth) -> float:
    """<C,P> + eps KL(P | a(x)1), the maximum of a semi-dual whose softmin lacks log b."""
    return t.F - t.case.eps * entropy(t.b)


VALUES: Table = {
    "sharp-for-full": ("the sharp cost <C,P>: eps KL(P | a(x)b) is missing", lambda t: t.s),
    "eps-too-much": ("eps too much: + eps in a semi-dual", lambda t: t.F + t.case.eps),
    "eps-missing": ("eps is missing: + eps in the dual B-13", lambda t: t.F - t.case.eps),
    "entropy-for-kl": ("entropy for KL: <C,P> - eps H(P), the value of L",
        lambda t: t.F - _entropies(t)),
    "entropy-minus-one": ("entropy for KL, with sum P (log P - 1): <C,P> - eps H(P) - eps",
        lambda t: t.F - _entropies(t) - t.case.eps),
    "entropy-added": ("the entropy is added: <C,P> + eps H(P)",
        lambda t: 2 * t.s - t.F + _entropies(t)),
    "dual-negated": ("the dual is negated: eps - (<C,P> - eps H(P))",
        lambda t: t.case.eps - t.F + _entropies(t)),
    "kl-against-uniform": ("KL against the uniform coupling 1/(nm), not against a(x)b",
        _kl_uniform),
    "log-b-missing": ("a log-sum-exp without log b: eps log m is missing", _log_b_missing),
    "kl-subtracted": ("eps KL is subtracted", lambda t: 2 * t.s - t.F),
    "kl-without-eps": ("KL without eps: <C,P> + KL(P | a(x)b)", lambda t: t.s + t.kl),
    "kl-alone": ("eps KL alone, without <C,P>", lambda t: t.F - t.s),
    "unregularised": ("the unregularised W0", lambda t: t.kantorovich),
    "independent-coupling": ("the cost of the independent coupling a(x)b", _mean_cost),
    "doubled": ("twice the value", lambda t: 2 * t.F),
    "halved": ("half of the value", lambda t: t.F / 2),
    "negated": ("minus the value", lambda t: -t.F),
    "divided-by-eps": ("the value divided by eps", lambda t: t.F / t.case.eps),
    "square-root": ("the square root of the value", lambda t: float(np.sqrt(max(t.F, 0.0)))),
    "clamped-at-zero": ("clamped at 0 from below", lambda t: max(t.F, 0.0)),
}
TRANSPORT_COSTS: Table = {
    "full-for-sharp": ("the KL-inclusive value, not the sharp cost <C,P>", lambda t: t.F),
    "entropic-for-sharp": ("the entropic value <C,P> - eps H(P), not <C,P>",
        lambda t: t.F - _entropies(t)),
    "unregularised": ("the unregularised W0", lambda t: t.kantorovich),
    "independent-coupling": ("the cost of the independent coupling a(x)b", _mean_cost),
    "doubled": ("twice the sharp cost", lambda t: 2 * t.s),
    "halved": ("half of the sharp cost", lambda t: t.s / 2),
    "negated": ("minus the sharp cost", lambda t: -t.s),
    "mean-for-sum": ("the mean of C P over the n m entries, not the sum", lambda t: t.s / t.C.size),
    "square-root": ("the square root of the sharp cost", lambda t: float(np.sqrt(max(t.s, 0.0)))),
    "clamped-at-zero": ("clamped at 0 from below", lambda t: max(t.s, 0.0)),
}


# ------------------------------------------------------------------ plans
def _unconstrained_kernel(t: Truth) -> Array:
    K = np.exp(-(t.C - t.C.min()) / t.case.eps)
    return K / K.sum()


PLANS: Table = {
    "independent-coupling": ("the independent coupling a(x)b", lambda t: np.outer(t.a, t.b)),
    "density-for-plan": ("the density P / (a(x)b), not the plan: a_i b_j is missing outside",
        lambda t: t.plan / np.where(np.outer(t.a, t.b) > 0, np.outer(t.a, t.b), 1)),
    "a-missing-outside": ("a_i is missing outside: rows sum to 1",
        lambda t: t.plan / np.where(t.a > 0, t.a, 1)[:, None]),
    "b-missing-outside": ("b_j is missing outside: columns sum to 1",
        lambda t: t.plan / np.where(t.b > 0, t.b, 1)),
    "plan-transposed": ("the plan is transposed", lambda t: t.plan.T),
    "mass-n": ("mass n: multiplied by the number of rows", lambda t: t.plan * len(t.a)),
    "kernel-alone": ("the kernel exp(-C / eps) alone, normalised: no scaling to the marginals",
        _unconstrained_kernel),
}


def _plain(t: Truth) -> Array:
    logs = (np.log(np.where(w > 0, w, 1)) for w in (t.a, t.b))
    return right_sums(t) + t.case.eps * sums(*logs)


POTENTIALS: Table = {
    "plain-form": (
        "these potentials are in the form 'plain', P = exp((f + g - C) / eps): declare a "
        "`convention` that says so",
        _plain),
    "log-scaling-form": (
        "these potentials are in the form 'log scaling', P = exp(u + v - C / eps): declare a "
        "`convention` that says so",
        lambda t: _plain(t) / t.case.eps),
    "divided-by-eps": ("the potentials are divided by eps", lambda t: right_sums(t) / t.case.eps),
    "negated": ("the potentials have the wrong sign", lambda t: -right_sums(t)),
    "halved": ("half of the potentials", lambda t: right_sums(t) / 2),
    "doubled": ("twice the potentials", lambda t: 2 * right_sums(t)),
    "exchanged": ("f and g are exchanged",
        lambda t: right_sums(t).T if len(t.a) == len(t.b) else None),
    "eps-too-much": ("eps too much in the sum f + g", lambda t: right_sums(t) + t.case.eps),
}


MISTAKES: dict[str, Table] = {
    capability: {
        **each(own, _of_solution),
        **_of_neighbours(right),
        **of_wrong_sums(capability),
        **more,
    }
    for capability, own, right, more in (
        ("value", VALUES, lambda t: t.F,
         _of_neighbours(lambda t: t.F, RELATIVE)
         | {f"sharp-{name}": (f"the sharp cost <C,P>, and {sentence}", answer)
            for name, (sentence, answer) in _of_neighbours(lambda t: t.s).items()}),
        ("transport_cost", TRANSPORT_COSTS, lambda t: t.s,
         _of_neighbours(lambda t: t.s, RELATIVE)),
        ("plan", PLANS, lambda t: t.plan, {}),
        ("potentials", POTENTIALS, right_sums, {}),
    )
}
"""The mistakes of each capability."""
