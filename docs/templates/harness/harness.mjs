// The harness between refot and your implementation. For another language, write these lines in it:
// read a line of JSON, answer with a line of JSON, flush, until the input ends.
import { createInterface } from "node:readline";

// What you offer, by the names of `refot verify --list`. Replace the body by a call of your code,
// and add a line for each further capability.
const offered = {
  softmin: ({ C, h, eps }) => {
    if (!(eps > 0)) throw new Error("eps is to be above 0");
    if (C.some((row) => row.length !== h.length)) throw new Error("h does not fit C");
    return C.map((row) => {
      const scores = row.map((cost, j) => (h[j] - cost) / eps);
      const most = Math.max(...scores);
      return -eps * (most + Math.log(scores.reduce((sum, s) => sum + Math.exp(s - most), 0)));
    });
  },
};

const about = { name: "my library", version: "0.1", capabilities: Object.keys(offered) };

// JSON has no NaN and no infinity: they are strings, in both directions.
const NUMBERS = { nan: NaN, inf: Infinity, "-inf": -Infinity };
const revive = (key, value) => (Object.hasOwn(NUMBERS, value) ? NUMBERS[value] : value);
const replace = (key, value) =>
  typeof value !== "number" || Number.isFinite(value) ? value
    : Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";

for await (const line of createInterface({ input: process.stdin })) {
  const { id, capability, arguments: given } = JSON.parse(line, revive);
  let answer;
  try {
    answer = { id, result: capability === "capabilities" ? about : offered[capability](given) };
  } catch (error) {
    answer = { id, error: String(error) };
  }
  process.stdout.write(JSON.stringify(answer, replace) + "\n");
}
