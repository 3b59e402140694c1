//! Labels from the fields of spans, for programs that use `tracing`.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use alloc_profiler::internal::label;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Field, Subscriber, field::Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::LabelSet;

/// A layer of `tracing-subscriber` that labels what threads do by the fields of the spans that they are in.
///
/// Only fields that are on its list become labels, since spans often have fields that differ with each request. Labels follow a
/// future that is instrumented by a span through all of its polls. A span has the labels of its parent too.
///
/// ```
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let layer = pprof_server::LabelLayer::new(["tenant", "route"]);
/// let subscriber = tracing_subscriber::registry().with(layer);
/// tracing::subscriber::with_default(subscriber, || {
///     let _span = tracing::info_span!("request", tenant = "acme", number = 7).entered();
///     assert_eq!(pprof_server::LabelSet::current().to_string(), "tenant=acme");
/// });
/// ```
///
/// # Cost
///
/// Beside that of `tracing`: some 200 ns for each field on the list when a span is made, and some 20 ns to enter and leave it.
#[derive(Debug)]
pub struct LabelLayer {
    keys: HashSet<String>,
}

impl LabelLayer {
    /// Makes a layer that turns the fields of these names into labels.
    pub fn new(fields: impl IntoIterator<Item = impl Into<String>>) -> LabelLayer {
        LabelLayer { keys: fields.into_iter().map(Into::into).collect() }
    }

    fn labels(&self, labels: LabelSet, record: impl FnOnce(&mut dyn Visit)) -> LabelSet {
        let mut visitor = Visitor { keys: &self.keys, labels };
        record(&mut visitor);
        visitor.labels
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LabelLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let of_parent = span.parent().and_then(|parent| parent.extensions().get::<LabelSet>().copied());
        let inherited = of_parent.unwrap_or_else(LabelSet::current);
        let labels = self.labels(inherited, |visitor| attributes.record(visitor));
        if labels != inherited || of_parent.is_some() {
            span.extensions_mut().insert(labels);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let before = span.extensions().get::<LabelSet>().copied();
        let labels = self.labels(before.unwrap_or_else(LabelSet::current), |visitor| values.record(visitor));
        span.extensions_mut().replace(labels);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let labels = context.span(id).and_then(|span| span.extensions().get::<LabelSet>().copied());
        if let Some(LabelSet(number)) = labels {
            let before = label::replace(number);
            let _ = ENTERED.try_with(|entered| entered.borrow_mut().push((id.clone(), before)));
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        let _ = ENTERED.try_with(|entered| leave(&mut entered.borrow_mut(), id));
    }
}

thread_local! {
    /// The spans with labels that the thread is in, each with the labels that it found.
    static ENTERED: RefCell<Vec<(Id, u32)>> = const { RefCell::new(Vec::new()) };
}

/// Leaves a span. Spans may be left in another order than the reverse of that in which they were entered: then the labels stay, and
/// the span that was entered next has those to give back that this one found.
fn leave(entered: &mut Vec<(Id, u32)>, id: &Id) {
    let Some(index) = entered.iter().rposition(|(entered, _)| entered == id) else { return };
    let (_, before) = entered.remove(index);
    match entered.get_mut(index) {
        Some((_, found)) => *found = before,
        None => label::restore(before),
    }
}

struct Visitor<'a> {
    keys: &'a HashSet<String>,
    labels: LabelSet,
}

impl Visitor<'_> {
    fn add(&mut self, field: &Field, value: &dyn fmt::Display) {
        if self.keys.contains(field.name()) {
            self.labels = self.labels.with(field.name(), value);
        }
    }
}

impl Visit for Visitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, &value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn spans_give_their_fields_and_take_them_back_in_any_order() {
        let subscriber = tracing_subscriber::registry().with(LabelLayer::new(["tenant", "step"]));
        tracing::subscriber::with_default(subscriber, || {
            let now = || LabelSet::current().to_string();
            let request =
                tracing::info_span!("request", tenant = "a", number = 7, step = tracing::field::Empty);
            let step = tracing::info_span!(parent: &request, "step", step = 1);
            let other = tracing::info_span!("other", unlisted = true);
            let outer = request.enter();
            let inner = step.enter();
            assert_eq!(now(), "step=1, tenant=a");
            other.in_scope(|| assert_eq!(now(), "step=1, tenant=a"));
            drop(outer);
            assert_eq!(now(), "step=1, tenant=a");
            drop(inner);
            assert_eq!(now(), "");
            request.record("step", 2);
            request.in_scope(|| assert_eq!(now(), "step=2, tenant=a"));
            assert_eq!(now(), "");
        });
    }
}
