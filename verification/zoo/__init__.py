"""The zoo: subjects with one realistic bug each, and subjects without any.

It shows that the checks find bugs, and that right subjects pass. Each bug is written as it might
occur in somebody's code. It is registered with the check that must fail, and with the id of what
must be diagnosed: a known mistake (`verification/mistakes/`) or a symptom (`symptoms.py`).

A *capability* is a function that a subject offers, such as `plan`. A problem is (C, a, b, eps): the
cost matrix C (n, m), the weights a (n,) and b (m,), the strength eps of the regularisation. P is a
plan, a(x)b the product a_i b_j, and F = <C,P> + eps KL(P | a(x)b) the *KL-inclusive* value; <C,P>
alone is the *sharp* value. The potentials f, g give P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps).
*Plain* potentials contain eps log a and eps log b: P_ij = exp((f_i + g_j - C_ij) / eps). *Log
scalings* u, v are plain potentials divided by eps. A case is such a problem with a name.

`python -m refot.verification.zoo LAST` runs all of them on the cases of the seeds 0 to LAST - 1.
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
    unbalanced,
)
from refot.verification.zoo.bug import BUGS, Bug, examined_on, small_cases
from refot.verification.zoo.right import RIGHT

__all__ = ["BUGS", "RIGHT", "Bug", "bugs_divergences", "bugs_functions", "bugs_input",
           "bugs_loops", "bugs_numerics", "bugs_training", "bugs_transport", "examined_on",
           "right_conventions", "right_ways", "small_cases", "unbalanced"]
