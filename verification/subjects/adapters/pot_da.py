"""POT's domain adaptation: estimators with `fit(Xs, Xt=Xt)`, whose plan is `coupling_`.

`ot.da.SinkhornTransport` takes points and no cost matrix. It weighs the points by the function
`distribution_estimation`, which is given each cloud in turn and by default weighs them evenly.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from refot.arrays import Array
from refot.verification.subjects.subject import Part

from . import as_clouds


def estimators(ot: ModuleType) -> Iterator[Part]:
    """The plan of a fitted `SinkhornTransport`, on points whose squared distances are the cost."""

    def plan(C: Array, a: Array, b: Array, eps: float) -> Array:
        x, y, _ = as_clouds(C)
        model = ot.da.SinkhornTransport(
            reg_e=eps, distribution_estimation=lambda points: a if points is x else b)
        found: Array = model.fit(Xs=x, Xt=y).coupling_
        return found

    yield Part("ot.da.SinkhornTransport().fit().coupling_", {"plan": plan}, calls="pot.sinkhorn2")
