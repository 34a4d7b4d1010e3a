"""Whether a backend computes what `refot.backend_contract` says, for refot's backends and others.

Each of its operations is compared with the NumPy backend's in a wider float:

    from refot.verification.parity import parity
    assert all(result.passed for result in parity(backend))
"""

from .comparison import Result, compared, parity
from .problems import ParityProblem, fixed_problems

__all__ = ["ParityProblem", "Result", "compared", "fixed_problems", "parity"]
