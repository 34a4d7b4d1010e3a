"""The zoo: subjects with one realistic bug each, and subjects without any.

It shows that the checks find bugs, and that they do not fail what is right. Each bug is written as
it would stand in somebody's code. With it stand the check that has to fail, and the id of what has
to be diagnosed: a mistake of the catalogue, or a symptom. `python -m refot.verification.zoo LAST`
runs all of them on cases drawn from so many seeds.
"""

from refot.verification.zoo import (
    bugs_divergences,
    bugs_functions,
    bugs_input,
    bugs_loops,
    bugs_numerics,
    bugs_training,
    bugs_transport,
    right_conventions,
    right_ways,
)
from refot.verification.zoo.animals import BUGS, Bug, examined_on, small_cases
from refot.verification.zoo.right import RIGHT

__all__ = ["BUGS", "RIGHT", "Bug", "bugs_divergences", "bugs_functions", "bugs_input",
           "bugs_loops", "bugs_numerics", "bugs_training", "bugs_transport", "examined_on",
           "right_conventions", "right_ways", "small_cases"]
