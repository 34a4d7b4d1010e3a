"""Prove certificates of refot again, without refot: python3 check.py CERTIFICATE.json ...

The claim: lower <= F <= upper, F the least <C,P> + eps KL(P | a x b) of all plans P with the
marginals a / sum(a) and b / sum(b). Any potential g proves a lower end, the semi-dual, and any plan
with exactly these marginals an upper end. Both are computed in exact fractions; only exp and log
are rounded, to 2^-320, and outward. In units of eps, P_ij = a_i b_j t_ij, and F is the least sum of
a_i b_j t_ij (C_ij + log t_ij). A claim is proven if it contains the interval found here."""
import json
import sys
from fractions import Fraction as Q
from math import floor, isfinite
ONE = 1 << 320
HEAD = {"format": "refot-certificate", "version": 1,
        "convention": "F = min <C,P> + eps KL(P | a(x)b), marginals a / sum(a) and b / sum(b)"}
def down(x):
    return Q(floor(x * ONE), ONE)
def log_1_to_2(x):  # from below: 2 (s + s^3/3 + s^5/5 + ...), s = (x - 1) / (x + 1) <= 1/3
    s = power = total = floor((x - 1) / (x + 1) * ONE)
    for k in range(3, 220, 2):
        power = power * s * s // ONE**2
        total += power // k
    return Q(2 * total, ONE)  # less than SLACK too low: 110 terms, none of them 5 / ONE too low
SLACK = Q(2000, ONE)
LOG_2 = log_1_to_2(Q(2))
def log(x):  # from above, x > 0: that of x / 2^k in [1, 2), and k log 2
    k = x.numerator.bit_length() - x.denominator.bit_length()
    k -= x < Q(2) ** k
    return log_1_to_2(x / Q(2) ** k) + SLACK + k * (LOG_2 + SLACK if k > 0 else LOG_2)
def exp(x):  # (below, above), x <= 0: the series at x / 2^14, squared 14 times
    y, term, total = floor(max(x, -2000) * ONE) >> 14, ONE, 0
    for k in range(1, 60):
        total, term = total + term, term * y // (k * ONE)
    low, high = total - 100, total + 100  # 60 terms, each at most one off, and y by one
    for _ in range(14):
        low, high = low * low // ONE, high * high // ONE + 1
    return (Q(low, ONE) if x > -2000 else Q(0)), Q(high, ONE)
def missing(a, b, t):  # what rows and columns of the plan lack, as shares of their weights
    return ([1 - sum(w * y for w, y in zip(b, row)) for row in t],
            [1 - sum(w * y for w, y in zip(a, column)) for column in zip(*t)])
def plans(a, b, t):  # exact marginals in two ways: t shifted; t scaled down and filled up
    e, h = missing(a, b, t)
    mass = sum(w * x for w, x in zip(a, e))
    yield [[z + x + y - mass for z, y in zip(row, h)] for row, x in zip(t, e)]
    t = [[down(z / max(1 - y, 1)) for z, y in zip(row, h)] for row in t]
    t = [[down(z / max(1 - x, 1)) for z in row] for row, x in zip(t, missing(a, b, t)[0])]
    e, h = missing(a, b, t)
    mass = sum(w * x for w, x in zip(a, e)) or 1
    yield [[z + x * y / mass for z, y in zip(row, h)] for row, x in zip(t, e)]
def proven(C, a, b, eps, g):  # (lower, upper) around F
    rows, columns = [i for i, w in enumerate(a) if w], [j for j, w in enumerate(b) if w]
    C, g = [[C[i][j] / eps for j in columns] for i in rows], [g[j] / eps for j in columns]
    a, b = [a[i] / sum(a) for i in rows], [b[j] / sum(b) for j in columns]
    t, lower = [], sum(w * y for w, y in zip(b, g))
    for weight, row in zip(a, C):  # f = -log sum_j b_j exp(g_j - C_ij), t_ij = exp(f + g_j - C_ij)
        most = max(y - c for y, c in zip(g, row))
        terms = [exp(y - c - most) for y, c in zip(g, row)]
        low, high = (sum(w * term[end] for w, term in zip(b, terms)) for end in (0, 1))
        lower -= weight * (most + log(high))
        t.append([down(term[0] / low) for term in terms])
    costs = [sum(v * w * z * (c + log(z)) for v, zs, cs in zip(a, plan, C) for w, z, c
                 in zip(b, zs, cs) if z) for plan in plans(a, b, t) if min(map(min, plan)) >= 0]
    return eps * max(lower, min(map(min, C))), eps * min(*costs, max(map(max, C)))
def exact(x):  # of numbers, and of lists of them: each as the nearest float, exactly
    if type(x) is list:
        return [exact(y) for y in x]
    return Q(float(x)) if type(x) in (int, float) and isfinite(float(x)) else Q("no number")
def check(found):
    C, a, b, eps = (exact(found["problem"][key]) for key in ("C", "a", "b", "eps"))
    g, claim = exact(found["potentials"]["g"]), found["interval"]
    if {key: found[key] for key in HEAD} != HEAD or eps <= 0 or min(a + b) < 0 or len(C) != len(
            a) or any(len(row) != len(b) or len(row) != len(g) for row in C):
        raise ValueError("not a problem of this format")
    lower, upper = proven(C, a, b, eps, g)
    if not exact(claim["lower"]) <= lower <= upper <= exact(claim["upper"]):
        raise ValueError(f"proven is only {float(lower)!r} <= F <= {float(upper)!r}")

for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        check(json.load(file))
    print(f"{path}: proven")
