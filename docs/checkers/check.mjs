// Prove certificates of refot again, without refot: node check.mjs CERTIFICATE.json ...
// The claim: lower <= F <= upper, F the least <C,P> + eps KL(P | a x b) of all plans P with marginals
// a / sum(a), b / sum(b). Any potential g proves a lower end, the semi-dual, and any plan with these
// marginals an upper end. All are whole numbers: a fixed x means x / ONE, a float is a multiple of
// 2^-1074; rounding is outward. In units of eps, P_ij = a_i b_j t_ij, and F is the least sum of
// a_i b_j t_ij (C_ij + log t_ij). A claim is proven if it contains the interval found here.
import { readFileSync } from "node:fs";
const BITS = 320n, ONE = 1n << BITS, HEAD = { format: "refot-certificate", version: 1,
  convention: "F = min <C,P> + eps KL(P | a(x)b), marginals a / sum(a) and b / sum(b)" };
const sum = (list, term) => list.reduce((total, z, i) => total + term(z, i), 0n);
const largest = (list) => list.flat().reduce((x, y) => (x > y ? x : y));
const smallest = (list) => list.flat().reduce((x, y) => (x < y ? x : y));
const below = (x, y) => (x >= 0n ? x / y : -((y - 1n - x) / y)), above = (x, y) => -below(-x, y);
function log1to2(s) {  // from below: 2 (s + s^3/3 + s^5/5 + ...), s = (x - 1) / (x + 1) <= 1/3
  let power = s, total = s;
  for (let k = 3n; k < 220n; k += 2n) total += (power = (power * s * s) >> (2n * BITS)) / k;
  return 2n * total;  // less than SLACK too low: 110 terms, none of them 5 / ONE too low
}
const SLACK = 2000n, LOG2 = log1to2(ONE / 3n);
function log(x, y) {  // of x / y > 0, from above: that of x / (y 2^k) in [1, 2), and k log 2
  let k = BigInt(x.toString(2).length) - BigInt(y.toString(2).length);
  if (k > 0n ? x < y << k : x << -k < y) k -= 1n;
  const [p, q] = k > 0n ? [x, y << k] : [x << -k, y];
  return log1to2(((p - q) * ONE) / (p + q)) + SLACK + k * (k > 0n ? LOG2 + SLACK : LOG2);
}
function exp(x) {  // [below, above] of a fixed x <= 0: the series at x / 2^14, squared 14 times
  const y = largest([x, -2000n * ONE]) >> 14n;
  let term = ONE, total = ONE;
  for (let k = 1n; k < 60n; k += 1n) total += (term = below(term * y, k * ONE));
  let [low, high] = [total - 100n, total + 100n];  // 60 terms, each at most one off, and y by one
  for (let k = 0; k < 14; k += 1) [low, high] = [(low * low) >> BITS, ((high * high) >> BITS) + 1n];
  return [x < -2000n * ONE ? 0n : low, high];
}
function* plans(A, B, SA, SB, t) {  // [t, unit], exact marginals: shifted; scaled down, filled up
  const missing = () => [t.map((row) => ONE * SB - sum(row, (z, j) => B[j] * z)),
    B.map((_, j) => ONE * SA - sum(t, (row, i) => A[i] * row[j]))];
  const each = (change) => t.map((row, i) => row.map((z, j) => change(z, i, j)));
  let [e, h] = missing(), mass = sum(e, (x, i) => A[i] * x);
  yield [each((z, i, j) => z * SA * SB + e[i] * SA + h[j] * SB - mass), ONE * SA * SB];
  t = each((z, _, j) => (h[j] < 0n ? (z * ONE * SA) / (ONE * SA - h[j]) : z));
  [e] = missing();
  t = each((z, i) => (e[i] < 0n ? (z * ONE * SB) / (ONE * SB - e[i]) : z));
  [e, h] = missing(), mass = sum(e, (x, i) => A[i] * x);
  yield mass ? [each((z, i, j) => z * mass + e[i] * h[j]), ONE * mass] : [t, ONE];
}
function proven(C, a, b, eps, g) {  // [lower, upper] around F / eps, fixed; a and b have no zeros
  const [SA, SB, t] = [sum(a, (w) => w), sum(b, (w) => w), []];
  let lower = sum(b, (w, j) => w * g[j]) * ONE * SA;
  C.forEach((row, i) => {  // f = -log sum_j b_j exp(g_j - C_ij), t_ij = exp(f + g_j - C_ij)
    const most = largest(row.map((c, j) => g[j] - c));
    const terms = row.map((c, j) => exp(below((g[j] - c - most) * ONE, eps)));
    const [low, high] = [0, 1].map((end) => sum(terms, (term, j) => b[j] * term[end]));
    lower -= a[i] * (most * ONE + log(high, ONE * SB) * eps) * SB;
    t.push(terms.map((term) => (term[0] * ONE * SB) / low));
  });
  const cost = ([t, unit]) => above(sum(t, (row, i) => sum(row, (z, j) => z && a[i] * b[j] * z
    * (above(C[i][j] * ONE, eps) + log(z, unit)))), SA * SB * unit);
  const costs = [...plans(a, b, SA, SB, t)].filter(([t]) => smallest(t) >= 0n).map(cost);
  return [largest([below(lower, eps * SA * SB), below(smallest(C) * ONE, eps)]),
    smallest([...costs, above(largest(C) * ONE, eps)])];
}
function exact(x) {  // of numbers and lists of them, in units of 2^-1074
  if (Array.isArray(x)) return x.map(exact);
  if (!Number.isFinite(x)) throw Error(`${x} is no finite number`);
  const bits = new BigInt64Array(new Float64Array([Math.abs(x)]).buffer)[0], exponent = bits >> 52n;
  const size = exponent ? (bits - ((exponent - 1n) << 52n)) << (exponent - 1n) : bits;
  return x < 0 ? -size : size;
}
for (const path of process.argv.slice(2)) {
  const { problem: p, interval, potentials, ...head } = JSON.parse(readFileSync(path, "utf8"));
  const [C, a, b, eps, g] = [p.C, p.a, p.b, p.eps, potentials.g].map(exact);
  if (Object.keys(HEAD).some((key) => head[key] !== HEAD[key]) || eps <= 0n || smallest([a, b]) < 0n
    || C.length !== a.length || C.some((row) => row.length !== b.length || row.length !== g.length))
    throw Error(`${path}: not a problem of this format`);
  const inB = (list) => list.filter((_, j) => b[j]), withMass = C.filter((_, i) => a[i]).map(inB);
  const [lower, upper] = proven(withMass, a.filter((w) => w), inB(b), eps, inB(g));
  const ends = [exact(interval.lower) * ONE, exact(interval.upper) * ONE];
  if (ends[0] > lower * eps || upper * eps > ends[1]) throw Error(`${path}: not proven`);
  console.log(`${path}: proven`);
}
