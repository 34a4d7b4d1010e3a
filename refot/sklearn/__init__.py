"""refot for scikit-learn: `EntropicTransport` maps one cloud of points to another, also points that
it was not fitted on; `SinkhornDistance` compares histograms, for nearest neighbours, kernel methods
and pipelines.

Importing this package imports scikit-learn; `import refot` does not.
"""

from refot.sklearn.distance import SinkhornDistance
from refot.sklearn.transport import EntropicTransport

__all__ = ["EntropicTransport", "SinkhornDistance"]
