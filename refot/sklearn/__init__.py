"""refot for scikit-learn: `EntropicTransport` maps one cloud to another, also out of sample, and
`SinkhornDistance` compares histograms in neighbours, kernels and pipelines.

Importing this package imports scikit-learn; `import refot` does not.
"""

from refot.sklearn.distance import SinkhornDistance
from refot.sklearn.transport import EntropicTransport

__all__ = ["EntropicTransport", "SinkhornDistance"]
