// Read the certified vectors, and compare answers with them: rustc read_vectors.rs && ./read_vectors FOLDER
use std::collections::HashMap;

/// The numbers of a line "in NAME axes n m x x ..." or "out NAME axes n m tolerance mid rad mid rad ...".
fn numbers(words: &[&str]) -> Vec<f64> {
    let axes: usize = words[0].parse().unwrap();
    words[1 + axes..].iter().map(|word| word.parse().unwrap()).collect()
}

/// Whether every entry of the answer is within rad + tolerance of mid; where mid is NaN, nothing is due.
fn agrees(answer: &[f64], output: &[f64]) -> bool {
    let (tolerance, pairs) = (output[0], &output[1..]);
    pairs.len() == 2 * answer.len()
        && answer.iter().zip(pairs.chunks(2)).all(|(x, pair)| pair[0].is_nan() || (x - pair[0]).abs() <= pair[1] + tolerance)
}

/// The function under test: -eps log sum_j exp((h_j - C_ij) / eps).
fn softmin(c: &[f64], h: &[f64], eps: f64) -> Vec<f64> {
    let row = |row: &[f64]| {
        let scores: Vec<f64> = row.iter().zip(h).map(|(c, h)| (h - c) / eps).collect();
        let top = scores.iter().cloned().fold(f64::NEG_INFINITY, f64::max);
        -eps * (top + scores.iter().map(|s| (s - top).exp()).sum::<f64>().ln())
    };
    c.chunks(h.len()).map(row).collect()
}

fn main() {
    let folder = std::env::args().nth(1).expect("FOLDER");
    let text = std::fs::read_to_string(format!("{folder}/text/softmin.txt")).expect("text/softmin.txt");
    let (mut inputs, mut right) = (HashMap::new(), Vec::new());
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[0] {
            "in" => { inputs.insert(words[1], numbers(&words[2..])); }
            "out" => right.push(agrees(&softmin(&inputs["C"], &inputs["h"], inputs["eps"][0]), &numbers(&words[2..]))),
            _ => {}
        }
    }
    println!("{} of {} right", right.iter().filter(|x| **x).count(), right.len());
}
