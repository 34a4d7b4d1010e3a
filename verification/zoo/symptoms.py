"""Symptoms: what a diagnosis says of a bug that no mistake of the catalogue describes.

Each has an id and words that the diagnosis must contain. The rest of the diagnosis, such as its
numbers, differs from case to case.
"""

SYMPTOMS = {
    # ---------------------------------------------------------------- numerical causes
    "not-converged": "not converged",
    "stopped-after-five": "not converged: the answer after 5 iterations",
    "underflow": "underflows",
    "exponents-not-shifted": "exponents are not shifted",
    "log-sum-exp-not-shifted": "shift each log-sum-exp by its own",
    "float32": "computed in float32",
    "norm-at-zero": "the gradient of |x - y| at x = y, as in the self term, is not set to 0",
    "zero-weight": "a weight is 0",
    "small-rho": "exp(-f / rho) overflows or underflows at small rho",
    "free-constant": "which nothing leaves free",
    "earlier-calls": "depends on earlier calls",
    # ---------------------------------------------------------------- where the wrong calls lie
    "only-zero-weights": "wrong only where a weight is 0",
    "only-n-unequal-m": "wrong only where n != m",
    "only-float32": "wrong only where the arrays are float32",
    "only-far-costs": "wrong only where the costs lie far",
    # ---------------------------------------------------------------- what a check says itself
    "input-accepted": "a number comes back",
    "no-answer": "no answer within",
    "warns-always": "warns whether it converged or not",
    "says-yes": "says yes to a solve that did not converge",
    "says-no": "says no to a solve that converged",
    "writes-into-a": "it writes into its argument a",
    "writes-into-C": "it writes into its argument C",
    "writes-into-a-and-x": "it writes into its argument a and x",
    # ---------------------------------------------------------------- training steps
    "later-step-wrong": "the first step is right, a later one is not",
    "trunk-moved": "the step of Q moves the trunk",
    "average-holds-start": "the average holds its start",
    "step-reversed": "minus the gradient: an ascent where a descent is due",
}
