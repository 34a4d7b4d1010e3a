"""Does a backend compute what the contract says? The comparison of its operations, one by one, with
the NumPy backend's in a wider float, for the backends of refot and for those of others:

    from refot.verification.parity import parity
    assert all(result.passed for result in parity(backend))
"""

from .comparison import Result, compared, parity
from .problems import ParityProblem, fixed_problems

__all__ = ["ParityProblem", "Result", "compared", "fixed_problems", "parity"]
