"""Certified test vectors: inputs and enclosures of the right answers, in JSON.

An *enclosure* has a *ball* for each number of an answer: an interval mid +- rad that is proved to
contain the number. A *capability* is a function that somebody's code may offer, such as `plan`, and
has one file. A *case* is a problem: a cost matrix C (n, m), weights a (n,) and b (m,), and the
strength eps of the regularisation; or, in place of C, the points x (n, d) and y (m, d). P is the
optimal plan, a(x)b the product a_i b_j, and `spread` is max C - min C.
"""
