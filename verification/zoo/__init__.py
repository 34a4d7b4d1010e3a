"""The zoo: subjects that are right but for one realistic defect, and subjects that are right.

It shows that the checks can fail, and that they do not fail what is right. Each bug stands as it
would in somebody's code, with the check that is meant for it and a part of the diagnosis that must
be given. `python -m refot.verification.zoo` runs all of it over as many seeds as wanted.
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
