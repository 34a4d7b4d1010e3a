// Entropic optimal transport, as a program for `refot verify --command "node sinkhorn.mjs"`.
//
// It reads one request a line and answers each with one line (docs/any-language.md): from standard
// input to standard output, or `node sinkhorn.mjs IN OUT` from one file to another.

import { createReadStream, writeSync, openSync } from "node:fs";
import { createInterface } from "node:readline";

// ------------------------------------------------------------------ the solver
const sum = (values) => values.reduce((total, value) => total + value, 0);
const column = (C, j) => C.map((row) => row[j]);

/** -eps log sum_j w_j exp((h_j - c_j) / eps), shifted so that nothing overflows. */
function softmin(c, h, w, eps) {
  const scores = c.map((cost, j) => (w[j] > 0 ? h[j] - cost : -Infinity));
  const most = Math.max(...scores);
  return -most - eps * Math.log(sum(scores.map((s, j) => w[j] * Math.exp((s - most) / eps))));
}

/** P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps). */
function plan(f, g, C, a, b, eps) {
  const entry = (i, j) => {
    const mass = a[i] * b[j];
    return mass > 0 ? mass * Math.exp((f[i] + g[j] - C[i][j]) / eps) : 0;
  };
  return C.map((row, i) => row.map((_, j) => entry(i, j)));
}

/** x with H x = y, by Gauss elimination without pivots: H is positive, with a small ridge. */
function eliminate(H, y) {
  const m = y.length;
  for (let k = 0; k < m; k++)
    for (let i = k + 1; i < m; i++) {
      const t = H[i][k] / H[k][k];
      for (let j = k; j < m; j++) H[i][j] -= t * H[k][j];
      y[i] -= t * y[k];
    }
  for (let k = m - 1; k >= 0; k--) {
    for (let j = k + 1; j < m; j++) y[k] -= H[k][j] * y[j];
    y[k] /= H[k][k];
  }
  return y;
}

/** One step of Newton's method for g, of at most log(1 + length) in units of eps. */
function newton(P, missing, g, a, b, eps) {
  const H = b.map((mass, j) =>
    b.map((_, k) => (j === k ? (mass - missing[j]) * (1 + 1e-10) + 1e-14 : 0)));
  P.forEach((row, i) =>
    row.forEach((mass, j) => {
      if (mass > 0) row.forEach((other, k) => { H[j][k] -= (mass * other) / a[i]; });
    }));
  const step = eliminate(H, [...missing]);
  const length = Math.max(...step.map(Math.abs));
  return length === 0 ? g : g.map((v, j) => v + (eps * step[j] * Math.log1p(length)) / length);
}

/** Throws where there is nothing to solve. */
function mustBeSound(C, a, b, eps) {
  if (![...C.flat(), ...a, ...b, eps].every(Number.isFinite)) throw new Error("not finite");
  if (!(eps > 0)) throw new Error(`eps = ${eps}`);
  if ([...a, ...b].some((weight) => weight < 0)) throw new Error("a weight below 0");
  if (C.length === 0 || C.length !== a.length || C.some((row) => row.length !== b.length))
    throw new Error("the cost does not fit the weights");
}

/** { f, g, P } at eps, which is come down to by halves. Throws where that does not converge. */
function solve(C, a, b, eps) {
  mustBeSound(C, a, b, eps);
  const least = Math.min(...C.map((row) => Math.min(...row)));
  const most = Math.max(...C.map((row) => Math.max(...row)));
  let g = b.map(() => 0);
  for (let stage = Math.max(most - least, eps); ; stage = Math.max(stage / 2, eps)) {
    const allowed = stage > eps ? 1e-3 : 1e-9;
    let f, P, error;
    for (let k = 0; k < 200; k++) {
      f = C.map((row) => softmin(row, g, b, stage));
      P = plan(f, g, C, a, b, stage);
      const missing = b.map((mass, j) => mass - sum(column(P, j)));
      error = sum(missing.map(Math.abs));
      if (error <= allowed) break;
      g = k % 2 ? newton(P, missing, g, a, b, stage)
        : b.map((_, j) => softmin(column(C, j), f, a, stage));
    }
    if (stage === eps && error > allowed) throw new Error(`not converged: ${error}`);
    if (stage === eps) return { f, g, P };
  }
}

// ------------------------------------------------------------------ the answers
const pairs = (C, term) => sum(C.map((row, i) => sum(row.map((cost, j) => term(cost, i, j)))));

const transportCost = ({ P }, C) => pairs(C, (cost, i, j) => P[i][j] * cost);

/** KL(P | a (x) b). */
const information = ({ f, g, P }, C, eps) =>
  pairs(C, (cost, i, j) => (P[i][j] * (f[i] + g[j] - cost)) / eps);

const answers = {
  plan: (solved) => solved.P,
  potentials: (solved) => [solved.f, solved.g],
  value: (solved, C, eps) => transportCost(solved, C) + eps * information(solved, C, eps),
  transport_cost: (solved, C) => transportCost(solved, C),
};

/** Weights with sum 1: those in float32 sum to 1 in float32 only. */
const normalised = (weights) => weights.map((weight) => weight / sum(weights));

function answer({ capability, arguments: { C, a, b, eps } }) {
  if (capability === "capabilities")
    return { name: "sinkhorn.mjs", version: "1", capabilities: Object.keys(answers) };
  return answers[capability](solve(C, normalised(a), normalised(b), eps), C, eps);
}

// ------------------------------------------------------------------ a line in, a line out
const [, , from, to] = process.argv;
const out = to === undefined ? 1 : openSync(to, "w");
const input = from === undefined ? process.stdin : createReadStream(from);

/** JSON has no infinities and no NaN: they are written as strings. */
const NOT_FINITE = { nan: NaN, inf: Infinity, "-inf": -Infinity };
const number = (_, x) => (typeof x === "string" && x in NOT_FINITE ? NOT_FINITE[x] : x);
const plain = (_, x) =>
  typeof x !== "number" || Number.isFinite(x) ? x : Number.isNaN(x) ? "nan" : x > 0 ? "inf" : "-inf";

for await (const line of createInterface({ input, crlfDelay: Infinity })) {
  const request = JSON.parse(line, number);
  let said;
  try {
    said = { id: request.id, result: answer(request) };
  } catch (error) {
    said = { id: request.id, error: String(error) };
  }
  writeSync(out, JSON.stringify(said, plain) + "\n");
}
