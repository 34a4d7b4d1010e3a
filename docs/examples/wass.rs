//! The harness between refot and the Rust crate wass (https://github.com/arclabs561/wass).
//!
//!     refot verify --command target/release/wass-subject
//!
//! It reads one request a line and answers each with one line, as docs/any-language.md says. The
//! standard library and wass are all that it needs: the reader below knows the part of JSON that
//! requests are written in, and no more. wass computes in f32, and so does this.

use ndarray::{Array1, Array2};
use std::io::{BufRead, Write};

const STEPS: usize = 20_000;
const TOLERANCE: f32 = 1e-6; // of the mass of each row and column
const RATE: f32 = 1e-4; // what that, and f32, promise of a sum over 64 atoms

/// The text behind "name":, up to the end of the line; nothing where there is no such name.
fn after<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let key = format!("\"{name}\":");
    line.find(&key).map(|at| &line[at + key.len()..])
}

/// A number, a list or a list of rows: its entries in order, and the number of rows.
fn numbers(line: &str, name: &str) -> Option<(Vec<f32>, usize)> {
    let (mut depth, mut rows, mut found, mut word) = (0, 0, Vec::new(), String::new());
    for letter in after(line, name)?.chars() {
        if "[],}".contains(letter) && !word.is_empty() {
            // "nan", "inf" and "-inf" are strings in JSON, and numbers for parse()
            found.push(word.parse().ok()?);
            word.clear();
        }
        match letter {
            '[' => depth += 1,
            ']' => {
                rows += usize::from(depth == 2);
                depth -= 1;
            }
            '"' | ',' | '}' => {}
            _ => word.push(letter),
        }
        if depth == 0 && "],}".contains(letter) {
            break;
        }
    }
    Some((found, rows))
}

fn number(line: &str, name: &str) -> Option<f32> {
    numbers(line, name)?.0.first().copied()
}

fn vector(line: &str, name: &str) -> Option<Array1<f32>> {
    Some(Array1::from(numbers(line, name)?.0))
}

fn matrix(line: &str, name: &str) -> Option<Array2<f32>> {
    let (entries, rows) = numbers(line, name)?;
    let columns = entries.len().checked_div(rows)?;
    Array2::from_shape_vec((rows, columns), entries).ok()
}

fn text_of(x: f32) -> String {
    if x.is_finite() {
        format!("{x:e}")
    } else {
        format!("\"{}\"", if x.is_nan() { "nan" } else if x > 0.0 { "inf" } else { "-inf" })
    }
}

fn rows_of(matrix: &Array2<f32>) -> String {
    let row = |row: ndarray::ArrayView1<f32>| {
        format!("[{}]", row.iter().map(|x| text_of(*x)).collect::<Vec<_>>().join(","))
    };
    format!("[{}]", matrix.rows().into_iter().map(row).collect::<Vec<_>>().join(","))
}

/// The cost on which wass's plan, whose KL is to 1, is the plan of refot's problem, whose KL is to
/// a b': C - eps log(a b'). What a point of weight 0 is given does not matter.
fn their_cost(c: &Array2<f32>, a: &Array1<f32>, b: &Array1<f32>, eps: f32) -> Array2<f32> {
    let log = |w: f32| if w > 0.0 { w.ln() } else { 0.0 };
    Array2::from_shape_fn(c.dim(), |(i, j)| c[[i, j]] - eps * (log(a[i]) + log(b[j])))
}

/// The field of an answer: a result, or in which way there is none.
fn field(found: Result<String, wass::Error>) -> String {
    match found {
        Ok(result) => format!("\"result\":{result}"),
        Err(wass::Error::SinkhornNotConverged(steps)) => {
            format!("\"not_converged\":\"in {steps} iterations\"")
        }
        Err(error) => format!("\"error\":\"{error}\""),
    }
}

/// The field that answers a request; nothing where an argument is missing or no such array.
fn answer(line: &str, capability: &str) -> Option<String> {
    let (a, b) = (vector(line, "a")?, vector(line, "b")?);
    let eps = number(line, "eps")?;
    Some(field(match capability {
        "plan" | "transport_cost" => {
            let c = matrix(line, "C")?;
            wass::sinkhorn_log_with_convergence(&a, &b, &c, eps, STEPS, TOLERANCE).map(
                |(plan, cost, _)| if capability == "plan" { rows_of(&plan) } else { text_of(cost) },
            )
        }
        "unbalanced_plan" => {
            let (c, rho) = (their_cost(&matrix(line, "C")?, &a, &b, eps), number(line, "rho")?);
            wass::unbalanced_sinkhorn_log_with_convergence(&a, &b, &c, eps, rho, STEPS, TOLERANCE)
                .map(|(plan, _, _)| rows_of(&plan))
        }
        "divergence" => {
            let (x, y) = (matrix(line, "x")?, matrix(line, "y")?);
            let cost: fn(&Array2<f32>, &Array2<f32>) -> Array2<f32> = match after(line, "cost")? {
                named if named.starts_with("\"sqeuclidean\"") => wass::sq_euclidean_cost_matrix,
                named if named.starts_with("\"euclidean\"") => wass::euclidean_cost_matrix,
                _ => return Some("\"not_provided\":\"wass has no such cost\"".to_string()),
            };
            wass::sinkhorn_divergence_general(
                &a, &b, &cost(&x, &y), &cost(&x, &x), &cost(&y, &y), eps, STEPS, TOLERANCE,
            )
            .map(text_of)
        }
        _ => return None,
    }))
}

fn main() {
    let about = format!(
        "{{\"name\":\"wass\",\"version\":\"0.2.2\",\"tolerance\":{RATE:e},\"capabilities\":\
         [\"plan\",\"transport_cost\",\"unbalanced_plan\",\"divergence\"]}}"
    );
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let id = after(&line, "id").and_then(|rest| rest.split(',').next()).unwrap_or("0");
        let capability = after(&line, "capability").and_then(|rest| rest.split('"').nth(1));
        let field = match capability {
            Some("capabilities") => format!("\"result\":{about}"),
            Some(name) => answer(&line, name)
                .unwrap_or_else(|| "\"error\":\"arguments that do not fit\"".to_string()),
            None => return,
        };
        println!("{{\"id\":{id},{field}}}");
        std::io::stdout().flush().expect("refot is reading");
    }
}
