//! What a suspect can be, and the words that people read about it: the text, the page and the answer in JSON have them from
//! here.
//!
//! Path: *read path*. Pure.

use serde::Serialize;

/// What a group that grew is suspected of. A kind that is surer to be a leak is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// It grew, and has stopped growing.
    Burst,
    /// It grows ever slower.
    Slowing,
    /// It grows, and its old blocks are freed: a queue that gets longer, or more load.
    Backlog,
    /// It grows, but has not done so for long enough to tell a leak from a cache that fills.
    Growing,
    /// It grows steadily, and its old blocks stay.
    Leak,
}

/// What people read about one kind.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Words {
    pub(crate) kind: Kind,
    /// What it is called.
    pub(crate) title: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) next_step: &'static str,
}

/// What people read about each kind; the surest leak comes first.
pub(crate) const WORDS: [Words; 5] = [
    Words {
        kind: Kind::Leak,
        title: "leak",
        meaning: "It grows steadily, and what was allocated earlier is still there.",
        next_step: "Find what keeps these blocks: the line shows where they are allocated, and its callers show for whom. A \
                    cache that fills for longer than two and a half minutes looks the same until it is full.",
    },
    Words {
        kind: Kind::Growing,
        title: "growing",
        meaning: "It grows, and it is too early to tell a leak from a cache or a pool that fills.",
        next_step: "Look again when it has grown for two and a half minutes.",
    },
    Words {
        kind: Kind::Backlog,
        title: "backlog",
        meaning: "It grows, but old blocks are freed: a queue that gets longer, or more work at once.",
        next_step: "See whether who takes from the queue keeps up, and give the queue a bound.",
    },
    Words {
        kind: Kind::Slowing,
        title: "slowing",
        meaning: "It grows ever more slowly, and nothing is freed: a cache or a pool that is nearly full, perhaps.",
        next_step: "See whether the cache has a bound, and whether the memory at that bound is acceptable.",
    },
    Words {
        kind: Kind::Burst,
        title: "grew once, stopped",
        meaning: "It grew for a while, has stopped growing, and keeps what it has: a cache that is full, or a step.",
        next_step: "Nothing needs to be done unless it grows again, or unless it holds more than you want it to.",
    },
];

impl Kind {
    /// Returns what people read about this kind.
    pub(crate) fn words(self) -> &'static Words {
        match self {
            Kind::Leak => &WORDS[0],
            Kind::Growing => &WORDS[1],
            Kind::Backlog => &WORDS[2],
            Kind::Slowing => &WORDS[3],
            Kind::Burst => &WORDS[4],
        }
    }
}

/// Returns in words how sure it is that something grew, if it grew by `z` times what chance would bring. The shares are those of a
/// normal distribution.
pub(crate) fn sureness(z: f64) -> &'static str {
    match z {
        5.0.. => "chance of error < 1 in 3 000 000",
        4.0.. => "chance of error < 1 in 30 000",
        3.0.. => "chance of error < 1 in 700",
        2.0.. => "chance of error < 1 in 40",
        1.0.. => "chance of error < 1 in 6",
        _ => "this may be chance",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_words() {
        for words in &WORDS {
            assert_eq!(words.kind.words().title, words.title);
            assert!(words.meaning.ends_with('.') && words.next_step.ends_with('.'), "{words:?}");
        }
        assert!(WORDS.windows(2).all(|pair| pair[0].kind > pair[1].kind));
    }

    /// The upper tail of the normal distribution has 1 in 6.3, 44, 741, 31 574 and 3 488 556.
    #[test]
    fn sureness_is_told_in_words() {
        let told = [0.9, 1.0, 2.5, 3.0, 4.0, 4.9, 5.0, f64::INFINITY].map(sureness);
        assert_eq!(told[0], "this may be chance");
        let rest = told[1..].iter().map(|words| words.trim_start_matches("chance of error < "));
        let expected = [
            "1 in 6",
            "1 in 40",
            "1 in 700",
            "1 in 30 000",
            "1 in 30 000",
            "1 in 3 000 000",
            "1 in 3 000 000",
        ];
        assert!(rest.eq(expected));
    }
}
