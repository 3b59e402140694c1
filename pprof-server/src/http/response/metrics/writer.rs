//! Writes figures for Prometheus: each with its name, help, unit and type.
//!
//! Path: *read path*.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Writes one figure after the other.
pub(super) struct Writer<'a>(DescriptorEncoder<'a>);

impl<'a> Writer<'a> {
    pub(super) fn to(encoder: DescriptorEncoder<'a>) -> Writer<'a> {
        Writer(encoder)
    }

    pub(super) fn bytes(&mut self, name: &str, help: &str, bytes: u64) -> fmt::Result {
        self.gauge_of(name, help, Some(&Unit::Bytes), bytes)
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.gauge_of(name, help, None, value)
    }

    fn gauge_of(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: u64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(self.0.encode_descriptor(name, help, unit, gauge.metric_type())?)
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(self.0.encode_descriptor(name, help, unit, counter.metric_type())?)
    }

    /// Writes a value for each set of labels, which are names with values.
    pub(super) fn gauges<const LABELS: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: &[([(&str, &str); LABELS], f64)],
    ) -> fmt::Result {
        if values.is_empty() {
            return Ok(());
        }
        let metric_type = ConstGauge::new(0.0).metric_type();
        let mut family = self.0.encode_descriptor(name, help, None, metric_type)?;
        values
            .iter()
            .try_for_each(|(labels, value)| ConstGauge::new(*value).encode(family.encode_family(labels)?))
    }

    pub(super) fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, u64)],
    ) -> fmt::Result {
        let metric_type = ConstCounter::new(0_u64).metric_type();
        let mut family = self.0.encode_descriptor(name, help, None, metric_type)?;
        values.iter().try_for_each(|&(reason, value)| {
            ConstCounter::new(value).encode(family.encode_family(&[(label, reason)])?)
        })
    }
}
