//! At the default interval, estimates of what C allocated are right within their errors.

use alloc_profiler::{
    DEFAULT_SAMPLING_INTERVAL, SizeTotals, Totals, set_sampling_interval, snapshot, testing,
};

use crate::harness::isolated;
use crate::library::Library;

const SOURCE: &str = r#"
#include <stdlib.h>
#include <string.h>
/* Allocates so many blocks, of which every fourth stays. */
void allocate(int count, size_t size) {
    for (int each = 0; each < count; each++) {
        char *block = malloc(size);
        memset(block, 1, 1);
        if (each % 4 != 0) free(block);
    }
}
"#;

#[test]
fn estimates_of_c_are_within_six_sigma() {
    isolated(1, || {
        let library = Library::of("estimates", SOURCE);
        let allocate: extern "C" fn(i32, usize) = library.function("allocate");
        set_sampling_interval(DEFAULT_SAMPLING_INTERVAL);
        testing::seed(11);
        for (count, size) in [(2_000_000, 64), (400_000, 1000), (40_000, 4096), (400, 1 << 20)] {
            let before = snapshot();
            allocate(count, size);
            let growth = snapshot().since(&before);
            let mut totals = Totals::default();
            let sizes = growth.stacks.iter().flat_map(|stack| &stack.by_size);
            for SizeTotals { totals: of_size, .. } in sizes.filter(|size| size.is_by_c) {
                totals += *of_size;
            }
            let truth = f64::from(count) * size as f64;
            for (estimate, truth, variance) in [
                (totals.alloc_bytes, truth, totals.alloc_bytes_variance),
                (totals.inuse_bytes, truth / 4.0, totals.inuse_bytes_variance),
            ] {
                let sigmas = (estimate - truth) / variance.sqrt();
                println!("{count} blocks of {size} bytes: {estimate:.0} of {truth:.0}, {sigmas:.2} sigma");
                assert!(sigmas.abs() < 6.0, "{estimate} of {truth} is {sigmas} sigma off");
            }
        }
    });
}
