"""The catalogue of known mistakes: the id of each, a sentence about it, and its wrong answers.

A *capability* is a function that an implementation may offer, such as `plan` or `value`; mistakes
are sorted by capability. A problem is written (C, a, b, eps): the cost matrix C (n, m), the weights
a (n,) and b (m,), and the strength eps of the regularisation. P is a plan (n, m), a(x)b the product
a_i b_j. F = <C,P> + eps KL(P | a(x)b) is the *KL-inclusive* or *full* value, and s = <C,P> at the
same plan the *sharp* value. The potentials f (n,) and g (m,) give the plan
P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps). Point clouds x (n, d), y (m, d) have the weights a, b.
"""
