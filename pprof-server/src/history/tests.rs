//! What is kept of the past, by a clock that is moved by hand.

use super::testing::{snapshot, totals};
use super::*;
use crate::cgroup::CgroupMemory;

const PERIOD: Duration = Duration::from_secs(60);
const NO_MEMORY: Memory =
    Memory { resident_bytes: None, group: CgroupMemory { limit_bytes: None, usage_bytes: None } };

/// Returns the ages in periods, the oldest first.
fn ages(history: &History, now: Instant) -> Vec<u64> {
    history.records().map(|record| (now - record.at + PERIOD / 2).as_secs() / PERIOD.as_secs()).collect()
}

/// Records one stack for so long, at the pace of records that cost `cost`, and returns when the last one was.
fn record_for(history: &mut History, start: Instant, time: Duration, cost: Duration) -> Instant {
    let then = snapshot(&[(0, totals(1, 1))]);
    let (mut at, mut late, mut now) = (start, 0, start);
    while at <= start + time {
        // A timer fires late, and is late by a different time whenever it fires.
        late = (late + 7919) % 400;
        now = at + Duration::from_millis(late);
        history.record(&then, NO_MEMORY, now);
        history.note_cost(cost);
        at += history.pause().unwrap();
    }
    now
}

fn seconds_between(history: &History, ages: std::ops::RangeInclusive<u64>, now: Instant) -> Vec<u64> {
    let is_of_age = |at: &Instant| ages.contains(&(now - *at).as_secs());
    let at: Vec<Instant> = history.records().map(|record| record.at).filter(is_of_age).collect();
    at.windows(2).map(|pair| (pair[1] - pair[0] + Duration::from_millis(500)).as_secs()).collect()
}

#[test]
fn moments_that_memory_was_too_short_for_are_told() {
    let mut history = History::new(None, DEFAULT_LIMIT_BYTES);
    assert_eq!(history.notes(), [""; 0]);
    (0..3).for_each(|_| history.pass_over());
    let [note] = &history.notes()[..] else { panic!("{:?}", history.notes()) };
    assert!(note.contains("too short for a record 3 times; give the program more address space"), "{note}");
    assert_eq!(history.passed_over(), 3);
}

#[test]
fn what_is_recent_is_dense_whenever_that_is() {
    for hours in [0, 1, 30] {
        let mut history = History::new(Some(PERIOD), DEFAULT_LIMIT_BYTES);
        let time = Duration::from_secs(hours * 3600 + 45);
        let now = record_for(&mut history, Instant::now(), time, Duration::from_millis(1));
        assert_eq!(seconds_between(&history, 0..=60, now)[..9], [5; 9], "{hours} h");
        // Each first of its stretch is kept, so that gaps differ by one record at most where ages meet.
        for (ages, expected) in [(66..=299, 15), (320..=3599, 60), (3700..=86399, 900)] {
            let gaps = seconds_between(&history, ages.clone(), now);
            assert!(gaps.iter().all(|&gap| gap == expected), "{hours} h, {ages:?}: {gaps:?}");
        }
        let oldest = history.records().next().unwrap().age(now).as_secs();
        let expected = if hours < 24 { time.as_secs() - 1..=time.as_secs() } else { 85_500..=86_400 };
        assert!(expected.contains(&oldest), "{hours} h: {oldest}");
        assert!(history.records().len() < 200 && history.held_bytes() < 100_000);
    }
}

#[test]
fn records_that_cost_more_come_less_often_down_to_one_in_a_period() {
    let pause = |millis, period| {
        let mut history = History::new(Some(period), DEFAULT_LIMIT_BYTES);
        record_for(&mut history, Instant::now(), Duration::from_secs(400), Duration::from_millis(millis));
        history.pause().unwrap()
    };
    let seconds = Duration::from_secs;
    // A record of 4 ms in 5 s is 0.08 % of a core.
    assert_eq!((pause(4, PERIOD), pause(8, PERIOD)), (seconds(5), seconds(10)));
    assert_eq!((pause(48, PERIOD), pause(1000, PERIOD)), (PERIOD, PERIOD));
    assert_eq!((pause(0, seconds(1)), pause(1000, seconds(1))), (seconds(1), seconds(1)));
    assert_eq!(History::new(None, DEFAULT_LIMIT_BYTES).pause(), None);
}

#[test]
fn with_a_longer_period_the_past_reaches_further_back() {
    let mut history = History::new(Some(10 * PERIOD), DEFAULT_LIMIT_BYTES);
    // A record in each period, since each costs that much.
    let costly = Duration::from_secs(1);
    let time = 12 * 24 * 60 * PERIOD;
    let now = record_for(&mut history, Instant::now(), time, costly);
    let oldest = history.records().next().unwrap().age(now);
    assert!((10 * 24 * 60 * PERIOD - 150 * PERIOD..=10 * 24 * 60 * PERIOD).contains(&oldest), "{oldest:?}");
    assert_eq!(seconds_between(&history, 0..=3500, now), [600; 5]);
    assert!(seconds_between(&history, 90_000..=860_000, now).iter().all(|&gap| gap == 9000));
}

#[test]
fn the_highest_moment_stays_however_long_ago_it_was() {
    let mut history = History::new(Some(PERIOD), DEFAULT_LIMIT_BYTES);
    let start = Instant::now();
    assert!(history.peak().is_none());
    for (step, inuse) in [10, 500, 100_000, 100_500, 7].into_iter().chain([8; 2000]).enumerate() {
        let now = start + PERIOD * step as u32;
        history.record(&snapshot(&[(0, totals(200_000, inuse))]), NO_MEMORY, now);
    }
    // 100 500 was not higher by 1 %.
    let in_use = |record: &Record| record.summary.totals.inuse_bytes;
    assert_eq!(history.peak().map(in_use), Some(100_000.0));
    let now = Now { at: start + PERIOD * 2005, time: std::time::SystemTime::now() };
    let peak = Moment::Mark(PEAK.to_owned());
    assert_eq!(history.find(&peak, now).map(in_use), Ok(100_000.0));
    assert!(history.find(&Moment::Mark("other".to_owned()), now).is_err());
    // Who has given a mark that name means the mark.
    history.mark(PEAK, &snapshot(&[(0, totals(1, 1))]), NO_MEMORY, now.at, false).unwrap();
    assert_eq!(history.find(&peak, now).map(in_use), Ok(1.0));
    // Where one record is as large as the whole history may be, there is no room for it twice.
    let mut small = History::new(Some(PERIOD), 1);
    small.record(&snapshot(&[(0, totals(1, 1))]), NO_MEMORY, start);
    assert!(small.peak().is_none());
}

#[test]
fn memory_is_capped_and_the_span_stays() {
    let many: Vec<_> = (0..500).map(|id| (id, totals(u64::from(id) * 7919, u64::from(id)))).collect();
    let one = Record::of(&snapshot(&many), NO_MEMORY, Instant::now()).bytes();
    let mut history = History::new(Some(PERIOD), 10 * one);
    let start = Instant::now();
    for step in 0..60_u32 {
        history.record(&snapshot(&many), NO_MEMORY, start + PERIOD * step);
        assert!(history.held_bytes() <= 10 * one);
    }
    let ages = ages(&history, start + PERIOD * 59);
    assert!(ages.len() >= 9 && ages[0] == 59 && *ages.last().unwrap() == 0, "{ages:?}");
    let [told] = &history.notes()[..] else { panic!("{:?}", history.notes()) };
    assert!(told.contains(&format!("hold {} moments", ages.len())), "{told}");
    assert!(told.contains(&format!("{} were let go", 60 - ages.len())), "{told}");
    // The moments are denser near now.
    assert!(ages[0] - ages[1] > ages[ages.len() - 2], "{ages:?}");

    let mut tiny = History::new(Some(PERIOD), one / 2);
    tiny.record(&snapshot(&many), NO_MEMORY, start);
    assert_eq!((tiny.records().len(), tiny.held_bytes()), (0, 0));
}

#[test]
fn marks_are_bounded_and_replaced_only_when_told() {
    let mut history = History::new(None, DEFAULT_LIMIT_BYTES);
    let now = Instant::now();
    let then = snapshot(&[(0, totals(1, 1))]);
    for index in 0..MAX_MARKS {
        assert_eq!(history.mark(&format!("m{index:02}"), &then, NO_MEMORY, now, false), Ok(()));
    }
    assert_eq!(history.mark("m03", &then, NO_MEMORY, now, false), Err(MarkError::Exists));
    assert_eq!(history.mark("new", &then, NO_MEMORY, now, false), Err(MarkError::TooMany));
    let later = snapshot(&[(0, totals(5, 5))]);
    assert_eq!(history.mark("m03", &later, NO_MEMORY, now, true), Ok(()));
    let found = history.find(&Moment::Mark("m03".into()), Now::by_clocks()).unwrap();
    assert_eq!(found.summary.totals.inuse_bytes, 5.0);
    assert!(history.find(&Moment::Mark("m99".into()), Now::by_clocks()).is_err());

    let mut small = History::new(None, 100);
    assert_eq!(small.mark("a", &then, NO_MEMORY, now, false), Err(MarkError::NoRoom));
}
