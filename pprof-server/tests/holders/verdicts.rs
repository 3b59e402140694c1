//! Each chain is compared here with the owner that is known.

/// What may stand in a chain instead of an owner that is not known.
const UNKNOWN: [&str; 3] = ["[memory that was not sampled]", "[not judged]", SEVERAL];
/// A frame begins so if it names several variables, one of which is the owner, and nobody knows which.
const SEVERAL: &str = "[one of: ";
/// What stands for a block whose site is not known.
const UNSAMPLED: &str = "[block that was not sampled: ";

/// Tells of each chain whether it is right, has no owner, or has a wrong one.
#[derive(Default)]
pub(crate) struct Verdicts {
    pub(crate) right: f64,
    pub(crate) none: f64,
    pub(crate) wrong: f64,
}

/// Judges the chains of the targets that this function allocates.
pub(crate) fn verdicts(folded: &str, target: &str, expected: &[&str]) -> Verdicts {
    let mut verdicts = Verdicts::default();
    for line in folded.lines().filter(|line| !line.starts_with('#')) {
        let (stack, bytes) = line.rsplit_once(' ').unwrap();
        let bytes: f64 = bytes.parse().unwrap();
        let frames: Vec<&str> = stack.split(';').collect();
        if !frames.last().unwrap().ends_with(&format!("::{target}")) {
            continue;
        }
        let holds = |part: &str| frames.iter().any(|frame| frame.contains(part));
        // Where a block in between was not sampled, its site is not known, and what begins the chain is all that is told.
        let is_right = expected.iter().all(|part| holds(part));
        // Of a task it is not laid down which variable of the runtime leads to it.
        let names_root = expected[0].contains([' ', ':']) || expected[0].starts_with('[');
        if names_root && holds(SEVERAL) {
            // The right name among several is no answer.
            verdicts.none += bytes;
        } else if is_right || holds(UNSAMPLED) && holds(expected[0]) {
            verdicts.right += bytes;
        } else if UNKNOWN.iter().any(|part| holds(part)) || holds(UNSAMPLED) && !names_root {
            verdicts.none += bytes;
        } else {
            verdicts.wrong += bytes;
            println!("wrong: {line}");
        }
    }
    verdicts
}
