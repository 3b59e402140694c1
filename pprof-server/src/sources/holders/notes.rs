//! What the search found, in sentences, and how sure that is.
//!
//! Path: *read path*.

use super::{Choice, Held, HeldRow, Holding};
use crate::profile::Estimate;
use holders::Found;
use std::collections::BTreeMap;

/// So many sites have a sentence.
const MAX_SENTENCES: usize = 10;

/// Returns the notes, a line each.
pub(super) fn notes(
    held: &Held,
    found: &Found,
    gone: usize,
    choice: &Choice,
    knows_own: bool,
) -> Vec<String> {
    let mut notes: Vec<String> = choice.note.iter().cloned().collect();
    notes.extend(of_sites(held));
    if held.rows.is_empty() {
        notes.push("holders: no sampled block that is in use was chosen".to_owned());
    }
    notes.push(format!(
        "holders: {} MiB were looked at in {} passes, {:.0} ms; a word that was left behind can look like a pointer, and a block \
         that is held by an index or a masked pointer seems to be lost",
        found.searched_bytes >> 20,
        found.passes,
        found.time.as_secs_f64() * 1e3
    ));
    notes.extend(of_doubts(held));
    if gone > 0 {
        notes.push(format!("holders: {gone} samples were freed during the search, and are left out"));
    }
    if found.is_cut || found.blocks_left_out > 0 {
        notes.push(
            "holders: there were more samples or pointers than the search has room for, so some holders are not known; choose \
             fewer with stack=, top= or min_age="
                .to_owned(),
        );
    }
    if !knows_own {
        notes.push(
            "holders: not all memory of the profiler is known, so it may be among the holders".to_owned(),
        );
    }
    notes
}

/// Says what holds the blocks of the sites that have most bytes in use.
fn of_sites(held: &Held) -> Vec<String> {
    let mut bytes: BTreeMap<u32, f64> = BTreeMap::new();
    for row in &held.rows {
        *bytes.entry(row.site).or_default() += row.bytes.value;
    }
    let mut sites: Vec<(u32, f64)> = bytes.into_iter().collect();
    sites.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let sentence = |&(site, _): &(u32, f64)| {
        let text = holder_of(held, site).unwrap_or_default();
        format!("holders: {}: {text}", held.sites[site as usize].text())
    };
    sites.iter().take(MAX_SENTENCES).map(sentence).collect()
}

/// Says how many samples have a holder that is uncertain, for each reason.
fn of_doubts(held: &Held) -> impl Iterator<Item = String> {
    let samples = |is_meant: fn(&HeldRow) -> bool| -> i64 {
        held.rows.iter().filter(|row| is_meant(row)).map(|row| row.bytes.samples).sum()
    };
    let stale = samples(|row| row.may_be_stale);
    let unsampled = samples(|row| row.kind == "unsampled");
    let several = samples(|row| row.kind == "several");
    let doubts = [
        (
            stale,
            format!(
                "holders: of {stale} samples the holder is known by a single word on a stack or in a buffer, which may have been \
                 left behind; they have the label may_be_stale"
            ),
        ),
        (
            unsampled,
            format!(
                "holders: {unsampled} samples are held by memory that was not sampled, so their owner is not known; set \
                 ALLOC_PROFILER_INTERVAL=65536 to find more"
            ),
        ),
        (
            several,
            format!(
                "holders: to {several} samples pointers lead from several variables, and one may be a word that was left behind, so \
                 it is uncertain which of these variables hold them"
            ),
        ),
    ];
    doubts.into_iter().filter(|(samples, _)| *samples > 0).map(|(_, doubt)| doubt)
}

/// Says what holds most of the blocks of a site, with the share and its error.
pub(super) fn holder_of(held: &Held, site: u32) -> Option<String> {
    let rows: Vec<&HeldRow> = held.rows.iter().filter(|row| row.site == site).collect();
    let mut by_holder: BTreeMap<String, Estimate> = BTreeMap::new();
    for row in &rows {
        let sum = by_holder.entry(text(held, row)).or_default();
        crate::profile::add(std::slice::from_mut(sum), &[row.bytes]);
    }
    let (holder, part) = by_holder.iter().max_by(|a, b| a.1.value.total_cmp(&b.1.value))?;
    let whole: Vec<Estimate> = by_holder.values().copied().collect();
    Some(format!("{} {holder}", share(part, &whole)))
}

/// Writes which share of the whole a part is, with its standard error.
fn share(part: &Estimate, whole: &[Estimate]) -> String {
    let total: f64 = whole.iter().map(|estimate| estimate.value).sum();
    let variance: f64 = whole.iter().map(|estimate| estimate.variance).sum();
    let share = if total > 0.0 { part.value / total } else { 0.0 };
    let others = (variance - part.variance).max(0.0);
    // The part and the others are independent: the error of a ratio follows from both.
    let spread = (1.0 - share).powi(2) * part.variance + share.powi(2) * others;
    let error = if total > 0.0 { spread.max(0.0).sqrt() / total } else { 0.0 };
    let samples: i64 = whole.iter().map(|estimate| estimate.samples).sum();
    let error = if error > 0.0 { format!(" ± {:.0}", 100.0 * error) } else { String::new() };
    let samples = if samples == 1 { "1 sample".to_owned() } else { format!("{samples} samples") };
    format!("{:.0}{error} % of the bytes in use ({samples}) are", 100.0 * share)
}

/// Says what holds the blocks of a row, from the nearest holder to the root.
fn text(held: &Held, row: &HeldRow) -> String {
    let end = match row.kind {
        "lost" => "lost: no pointer to them was found",
        "cycle" => "a cycle: only their own blocks point to them",
        "not-judged" => "not judged",
        "unsampled" => "memory that was not sampled",
        _ => &row.end,
    };
    let link = |holding: &Holding| match holding {
        Holding::Site(site) => format!("blocks of {}", held.sites[*site as usize].text()),
        Holding::Unsampled(what) => format!("a block that was not sampled ({what})"),
    };
    let links: Vec<String> = row.path.iter().map(link).collect();
    match (row.kind, &links[..]) {
        ("lost" | "cycle" | "not-judged", []) => end.to_owned(),
        (_, []) => format!("held by {end}"),
        ("lost", links) => {
            format!("held by {}, to which no pointer was found: they are lost", links.join(", held by "))
        }
        ("cycle", links) => {
            format!("held by {}, in a cycle that no variable reaches", links.join(", held by "))
        }
        ("several", links) => {
            format!("held by {}, to which {end} leads", links.join(", held by "))
        }
        ("not-judged", links) => format!("held by {}; the rest is not judged", links.join(", held by ")),
        (_, links) => format!("held by {}, held by {end}", links.join(", held by ")),
    }
}
