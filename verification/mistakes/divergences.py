"""Known mistakes of divergences between point clouds, and of their gradients.

The divergence is S = F_xy - F_xx / 2 - F_yy / 2 (B-9), with the values F of three problems. F_xy is
its *cross term*, F_xx and F_yy are its *self terms*, in which a cloud is transported to itself.

Papers: B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.costs.ground import GROUND_COSTS
from refot.costs.operands import point_cost
from refot.divergences import mmd_squared_unbiased
from refot.verification.truth.right import (
    S_of,
    Terms,
    halves,
    right_divergence,
    right_gradient,
    right_gradients,
    right_mmd,
    values_of,
)
from refot.verification.truth.solution import point_solutions, solution

from .mistake import Answer, Forms, Table, each
from .transport import NEIGHBOURS, even
from .updates import of_wrong_sums


def _s(terms: Terms) -> tuple[float, float, float]:
    xy, xx, yy = terms
    return xy.s, xx.s, yy.s


def _eps(terms: Terms) -> float:
    return terms[0].case.eps


def _kl_forgotten_in(term: int) -> Callable[[Terms], float]:
    """The divergence with the sharp value <C,P> in one term (0 is the cross term), and the value F,
    which includes eps KL, in the two others."""
    return lambda t: halves(*(s if k == term else F
                               for k, (F, s) in enumerate(zip(values_of(t), _s(t), strict=True))))


def _root(t: Terms) -> float | None:
    return float(np.sqrt(S_of(t))) if S_of(t) > 0 else None


# here the answers take t, the solutions of (x, y), (x, x) and (y, y)
DIVERGENCES: Table = {
    "doubled": ("twice the divergence (2W - W - W)", lambda t: 2 * S_of(t)),
    "halved": ("half of the divergence", lambda t: S_of(t) / 2),
    "sharp-for-full": ("sharp values <C,P> in all three terms: eps KL is missing",
        lambda t: halves(*_s(t))),
    "sharp-clamped-at-zero": ("sharp values <C,P> in all three terms, clamped at 0",
        lambda t: max(0.0, halves(*_s(t)))),
    "sharp-doubled": (
        "the loss G-4 (2W - W - W with sharp values): twice the scale, eps KL missing",
        lambda t: 2 * halves(*_s(t))),
    "self-terms-missing": ("the self terms are missing: F_xy", lambda t: t[0].F),
    "self-terms-missing-sharp": ("the self terms are missing, and <C,P> stands for F",
        lambda t: t[0].s),
    "halves-missing": ("the factors 1/2 of the self terms are missing",
        lambda t: t[0].F - t[1].F - t[2].F),
    "self-term-y-missing": ("the self term of y is missing", lambda t: t[0].F - t[1].F / 2),
    "self-term-x-missing": ("the self term of x is missing", lambda t: t[0].F - t[2].F / 2),
    "self-terms-added": ("the self terms are added", lambda t: t[0].F + t[1].F / 2 + t[2].F / 2),
    "eps-missing-in-self-term": ("eps / 2 too much: + eps is missing in one self term",
        lambda t: S_of(t) + _eps(t) / 2),
    "eps-missing-in-cross-term": ("eps is missing in the cross term",
        lambda t: S_of(t) - _eps(t)),
    "sharp-in-cross-term": ("the sharp <C,P> in the cross term, F in the self terms",
        _kl_forgotten_in(0)),
    "square-root": ("the square root of the divergence", _root),
    "negated": ("minus the divergence", lambda t: -S_of(t)),
    "divided-by-eps": ("the divergence divided by eps", lambda t: S_of(t) / _eps(t)),
    "unregularised": ("the unregularised W0 of (x, y)", lambda t: t[0].kantorovich),
}


def _of_terms(answer: Callable[[Terms], Any]) -> Callable[..., Any]:
    return lambda *clouds: answer(point_solutions(*clouds))


def _in_each_term(change: Callable[..., Any]) -> Callable[..., Any]:
    """The divergence S of the values of three wrong problems: `change` makes each of them from the
    right problem of that term."""

    def alternative(*clouds: Any) -> float | None:
        problems = [change(t.C, t.a, t.b, t.case.eps) for t in point_solutions(*clouds)]
        if any(problem is None for problem in problems):
            return None
        return halves(*(solution(*problem).F for problem in problems))

    return alternative


def _other_cost(cost: str, answer: Answer) -> Answer:
    return lambda *given: None if given[-1] == cost else answer(*given[:-1], cost)


def _other_costs(answer: Answer) -> Table:
    """For each ground cost, the mistake of computing with it whatever cost is asked for."""
    return {f"cost-is-{cost}": (f"the cost is {cost}", _other_cost(cost, answer))
            for cost in GROUND_COSTS}


def _cross_eps_only(*clouds: Any) -> float:
    """The divergence if the given eps is used for (x, y) only, and (x, x) and (y, y) each have
    OTT's default: 0.05 times the standard deviation of their costs."""
    xy, xx, yy = point_solutions(*clouds)
    own = [solution(t.C, t.a, t.b, 0.05 * float(t.C.std()) or _eps((xy, xx, yy)))
           for t in (xx, yy)]
    return halves(xy.F, own[0].F, own[1].F)


def _own_weights(
    choose: Callable[[Array, Array], tuple[Array, Array] | None], answer: Callable[..., Any]
) -> Callable[..., Any]:
    """An answer with the right cross term, and with the weights choose(a, b) in the self terms.

    Where `choose` returns None, the mistake cannot be made, and the answer is None, too.
    answer(clouds, changed) takes the cross term from `clouds` and the self terms from `changed`.
    """

    def alternative(x: Array, a: Array, y: Array, b: Array, *rest: Any) -> Any:
        chosen = choose(a, b)
        if chosen is None:
            return None
        return answer((x, a, y, b, *rest), (x, chosen[0], y, chosen[1], *rest))

    return alternative


SELF_WEIGHTS: Table = {
    "self-weights-exchanged": ("the self terms have the weights of the other side",
        lambda a, b: (b, a) if len(a) == len(b) else None),
    "self-weights-uniform": ("the self terms have uniform weights",
        lambda a, b: (even(a), even(b))),
    "self-weights-x-uniform": ("the self term of x has uniform weights", lambda a, b: (even(a), b)),
    "self-weights-y-uniform": ("the self term of y has uniform weights", lambda a, b: (a, even(b))),
}
"""Wrong weights of the self terms: functions of (a, b) that return the weights of x and of y, or
None where the mistake cannot be made."""


def _of_self_weights(answer: Answer) -> Table:
    return each(SELF_WEIGHTS, lambda choose: _own_weights(choose, answer))


def _S_of_two(clouds: Any, changed: Any) -> float:
    _, xx, yy = point_solutions(*changed)
    return halves(point_solutions(*clouds)[0].F, xx.F, yy.F)


def _S_of_wrong_sums(sums: Callable[..., Forms | None]) -> Callable[..., Forms | None]:
    """The divergence S of the three values to which a Sinkhorn loop with a wrong update converges.

    `sums` returns the wrong values of one problem, or None (see `of_wrong_sums`).
    """

    def alternative(*clouds: Any) -> Forms | None:
        terms = point_solutions(*clouds)
        answers = [sums(t.C, t.a, t.b, t.case.eps) for t in terms]
        if answers[0] is None:
            return None
        # a sum over the wrong axis of a symmetric cost changes nothing: `found` is None, and the
        # value of that term is right
        each = [[t.F] * len(answers[0].answers) if found is None else found.answers
                for t, found in zip(terms, answers, strict=True)]
        return Forms(tuple(halves(*values) for values in zip(*each, strict=True)))

    return alternative


def _gradient_of_two(clouds: Any, changed: Any) -> Array:
    return right_gradients(*clouds)[0] - right_gradients(*changed)[1]


# In the answers here, G is the gradient in x of F_xy, and H that of F_xx in one of its two
# arguments (its slots), each (n, d). The right gradient of the divergence is G - H.
GRADIENTS: Table = {
    "self-term-missing": ("the self term is missing (or its plan and both its slots are detached)",
        lambda G, H: G),
    "one-self-slot": ("one slot of the self term only", lambda G, H: G - H / 2),
    "half-missing": ("both slots of F_xx, and the factor 1/2 is missing", lambda G, H: G - 2 * H),
    "self-term-added": ("the self term is added", lambda G, H: G + H),
    "doubled": ("twice the gradient", lambda G, H: 2 * (G - H)),
    "halved": ("half of the gradient", lambda G, H: (G - H) / 2),
    "negated": ("minus the gradient: descent for ascent", lambda G, H: H - G),
    "self-term-alone": ("the self term alone", lambda G, H: -H),
    "divided-by-n": ("divided by n", lambda G, H: (G - H) / len(G)),
    "multiplied-by-n": ("multiplied by n (a_i is missing outside, for uniform weights)",
        lambda G, H: (G - H) * len(G)),
}


def _of_gradients(answer: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    return lambda *clouds: answer(*right_gradients(*clouds))


def _per_mass(*clouds: Any) -> Array:
    """The gradient divided by the weight of its atom."""
    a = clouds[1]
    return right_gradient(*clouds) / np.where(a > 0, a, 1)[:, None]


def _at_eps(factor: float) -> Callable[..., Array]:
    return lambda x, a, y, b, eps, cost: right_gradient(x, a, y, b, factor * eps, cost)


def _means(x: Array, a: Array, y: Array, b: Array, cost: str) -> tuple[float, float, float]:
    """The mean costs a'C_xy b, a'C_xx a and b'C_yy b, of which MMD^2 is 2 xy - xx - yy."""
    return tuple(float(p @ point_cost(u, v, cost).dense() @ q)  # type: ignore[return-value]
                 for u, p, v, q in ((x, a, y, b), (x, a, x, a), (y, b, y, b)))


def _of_means(answer: Callable[[float, float, float], float]) -> Callable[..., float]:
    return lambda *clouds: answer(*_means(*clouds))


def _mmd_of_two(clouds: Any, changed: Any) -> float:
    _, xx, yy = _means(*changed)
    return 2 * _means(*clouds)[0] - xx - yy


def _unbiased(x: Array, a: Array, y: Array, b: Array, cost: str) -> float | None:
    atoms = min(int((a > 0).sum()), int((b > 0).sum()))
    return mmd_squared_unbiased(x, a, y, b, cost) if atoms > 1 else None


def _unweighted(change_a: bool, change_b: bool) -> Callable[..., float]:
    return lambda x, a, y, b, cost: right_mmd(
        x, even(a) if change_a else a, y, even(b) if change_b else b, cost)


MISTAKES: dict[str, Table] = {
    "divergence": {
        **each(DIVERGENCES, _of_terms),
        # a transposed cost is left out: points have no matrix that could be read the wrong way
        **{name: neighbour for name, neighbour in each(NEIGHBOURS, _in_each_term).items()
           if name != "cost-transposed"},
        **_other_costs(right_divergence),
        "self-terms-with-own-eps": ("each self term has an eps of its own, 0.05 std(C)",
            _cross_eps_only),
        **_of_self_weights(_S_of_two),
        **each(of_wrong_sums("value"), _S_of_wrong_sums),
    },
    "divergence_gradient": {
        **each(GRADIENTS, _of_gradients),
        **_other_costs(right_gradient),
        # wrong weights in the self term of y change no gradient in x
        **{name: weights for name, weights in _of_self_weights(_gradient_of_two).items()
           if name != "self-weights-y-uniform"},
        "per-unit-of-mass": ("not multiplied by a_i: the gradient per unit of mass", _per_mass),
        "eps-halved": ("eps is halved", _at_eps(0.5)),
        "eps-doubled": ("eps is doubled", _at_eps(2.0)),
        "weights-ignored": ("the weights a and b are ignored (uniform ones used)",
            lambda x, a, y, b, eps, cost: right_gradient(x, even(a), y, even(b), eps, cost)),
        "weights-a-ignored": ("the weights a are ignored (uniform ones used)",
            lambda x, a, y, b, eps, cost: right_gradient(x, even(a), y, b, eps, cost)),
        "weights-b-ignored": ("the weights b are ignored (uniform ones used)",
            lambda x, a, y, b, eps, cost: right_gradient(x, a, y, even(b), eps, cost)),
    },
    "mmd": {
        "square-root": ("the square root: MMD, not MMD^2",
            lambda *given: float(np.sqrt(max(right_mmd(*given), 0.0)))),
        "halved": ("half of MMD^2: the limit of B-9", lambda *given: right_mmd(*given) / 2),
        "doubled": ("twice MMD^2", lambda *given: 2 * right_mmd(*given)),
        "negated": ("minus MMD^2", lambda *given: -right_mmd(*given)),
        "u-statistic": ("the U-statistic, without the self pairs", _unbiased),
        "weights-ignored": ("the weights a and b are ignored (uniform ones used)",
            _unweighted(True, True)),
        "weights-a-ignored": ("the weights a are ignored (uniform ones used)",
            _unweighted(True, False)),
        "weights-b-ignored": ("the weights b are ignored (uniform ones used)",
            _unweighted(False, True)),
        "cross-term-not-doubled": ("the cross term is not doubled",
            _of_means(lambda xy, xx, yy: xy - xx - yy)),
        **_of_self_weights(_mmd_of_two),
        "self-terms-missing": ("the self terms are missing", _of_means(lambda xy, xx, yy: 2 * xy)),
        "self-term-y-missing": ("the self term of y is missing",
            _of_means(lambda xy, xx, yy: 2 * xy - xx)),
        "self-term-x-missing": ("the self term of x is missing",
            _of_means(lambda xy, xx, yy: 2 * xy - yy)),
        **_other_costs(right_mmd),
    },
}
"""The mistakes of each capability."""
