//! Spans around each place that takes a lock are summed up here by a layer of `tracing-subscriber`, as people write it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use locks::parts::Part;
use locks::{Told, Tool};
use tracing::span::{Attributes, Id};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// How long spans have lasted, by the place that has them.
type Sums = Arc<Mutex<HashMap<String, Duration>>>;

struct Timers(Sums);

fn place(of: &Metadata<'_>) -> String {
    let file = of.file().unwrap_or_default();
    format!("{}:{}", file.rsplit('/').next().unwrap_or_default(), of.line().unwrap_or_default())
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Timers {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Instant::now());
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(start) = span.extensions().get::<Instant>().copied() else { return };
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *sums.entry(place(span.metadata())).or_default() += start.elapsed();
    }
}

struct Summed(Sums);

impl Tool for Summed {
    fn told(&mut self, part: &Part) -> Told {
        let sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let file = format!("{}.rs:", part.module);
        let of_part: Vec<_> = sums.iter().filter(|(place, _)| place.starts_with(&file)).collect();
        Told {
            waited: Some(of_part.iter().map(|(_, waited)| **waited).sum()),
            waiters: of_part.iter().map(|(place, _)| (*place).clone()).collect(),
            holders: Vec::new(),
        }
    }
}

fn main() {
    locks::main(|is_on| {
        let sums = Sums::default();
        if is_on {
            tracing_subscriber::registry().with(Timers(sums.clone())).init();
        }
        Summed(sums)
    });
}
