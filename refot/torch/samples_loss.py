"""`SamplesLoss` with the arguments of `geomloss.SamplesLoss`, and refot's converged answers.

For p = 2 GeomLoss's cost is |x - y|^2 / 2 and its eps is blur^2; for p = 1 they are |x - y| and
blur (`refot.conventions`). With a `reach` marginals may be missed at the price rho KL, with
rho = reach^p. GeomLoss makes one iteration at each eps of a schedule, whose steps `scaling` sets,
and stops. refot goes on until its tolerance is reached, so that its value is the limit of
GeomLoss's for scaling -> 1.
"""

from __future__ import annotations

from typing import Any

import torch

from refot.arrays import InputError, TypeInputError, as_positive, lookup
from refot.autodiff.losses import Loss
from refot.conventions.convert import problem_to_refot
from refot.torch.losses import LossModule

CONVENTIONS = {1: "geomloss.SamplesLoss(p=1)", 2: "geomloss.SamplesLoss(p=2)"}
"""The name in `refot.conventions` of the loss with each p."""

WITHOUT_EFFECT = {"scaling", "diameter", "truncate", "cluster_scale", "verbose"}
"""Arguments of GeomLoss that change how near it comes to the converged value, which refot
computes."""


class SamplesLoss(torch.nn.Module):
    """A drop-in for `geomloss.SamplesLoss("sinkhorn", p, blur)`, called with (x, y) or
    (a, x, b, y).

        loss = refot.torch.SamplesLoss("sinkhorn", p=2, blur=0.05); loss(x, y).backward()

    The loss is the Sinkhorn divergence, or with `debias=False` the entropic value. `tol` and
    `backend` are refot's; a `backend` of GeomLoss ("tensorized", "online", "multiscale", "auto")
    means refot's default. Other losses, costs of your own and `potentials=True` raise InputError.
    """

    def __init__(self, loss: str = "sinkhorn", p: int = 2, blur: float = 0.05,
                 reach: float | None = None, debias: bool = True, *, tol: float | None = None,
                 backend: Any = None, **options: Any) -> None:
        super().__init__()
        if loss != "sinkhorn":
            raise InputError("loss", repr(loss), "'sinkhorn'")
        if reach is not None and not debias:
            raise InputError("debias", "False beside a reach", "True: GeomLoss's value leaves out "
                             "terms of the masses; refot.unbalanced_value has them")
        _refuse(options)
        problem = problem_to_refot(lookup_p(p), blur)
        self.module = LossModule(Loss(
            problem.scale * problem.eps, str(problem.ground), problem.scale, debias,
            rho=None if reach is None else as_positive(reach, "reach")**p, tol=tol,
            backend=None if backend in GEOMLOSS_BACKENDS else backend))

    def forward(self, *measures: torch.Tensor) -> torch.Tensor:
        """The loss of (x, y) with uniform weights, or of (a, x, b, y)."""
        if len(measures) == 2:
            return self.module(*measures)
        if len(measures) == 4:
            a, x, b, y = measures
            return self.module(x, y, a=a, b=b)
        raise TypeInputError("measures", f"{len(measures)} tensors", "(x, y) or (a, x, b, y)")


GEOMLOSS_BACKENDS = ("auto", "tensorized", "online", "multiscale")
"""Names by which GeomLoss chooses how to compute the same numbers."""


def lookup_p(p: int) -> str:
    """The name in `refot.conventions` of the loss with the exponent p."""
    name: str = lookup({str(k): name for k, name in CONVENTIONS.items()}, f"{p:g}", "p")
    return name


def _refuse(options: dict[str, Any]) -> None:
    """Raise InputError for an argument of GeomLoss that would change the answer."""
    for name, value in options.items():
        if name not in WITHOUT_EFFECT and value not in (None, False):
            raise InputError(name, repr(value),
                             "nothing, or " + ", ".join(sorted(WITHOUT_EFFECT)) + " (no effect)")
