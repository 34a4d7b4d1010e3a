// Read the certified vectors, and compare answers with them: node read_vectors.mjs FOLDER
import { readFileSync } from "node:fs";

const folder = process.argv[2];
const cases = (capability) => JSON.parse(readFileSync(`${folder}/${capability}.json`)).cases;

// Whether every entry of the answer is within rad + tolerance of mid; null: nothing is due.
const agrees = (answer, { mid, rad, tolerance }) =>
  Array.isArray(mid)
    ? Array.isArray(answer) && answer.length === mid.length &&
      mid.every((m, k) => agrees(answer[k], { mid: m, rad: rad[k], tolerance }))
    : mid === null || (typeof answer === "number" &&
        Math.abs(answer - Number(mid)) <= Number(rad) + tolerance);

// The function under test: -eps log sum_j exp((h_j - C_ij) / eps).
function softmin({ C, h, eps }) {
  return C.map((row) => {
    const scores = row.map((c, j) => (h[j] - c) / eps);
    const top = Math.max(...scores);
    return -eps * (top + Math.log(scores.reduce((sum, s) => sum + Math.exp(s - top), 0)));
  });
}

const all = cases("softmin");
const right = all.filter(({ inputs, outputs }) => agrees(softmin(inputs), outputs.softmin));
console.log(`${right.length} of ${all.length} right`);
process.exitCode = right.length === all.length ? 0 : 1;
