//! The functions do what those of glibc do, in all that C code may rely on.

use alloc_profiler::{set_sampling_interval, snapshot};

use crate::harness::isolated;
use crate::library::Library;

/// Returns the line of the first thing that is not as it should be, or 0.
const CHECKS: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#define CHECK(is) do { if (!(is)) return __LINE__; } while (0)

static volatile size_t huge = SIZE_MAX - 4096, beyond = (size_t)PTRDIFF_MAX + 1, two = 2;

static int fails(void *block) {
    return block == NULL && errno == ENOMEM;
}

int check(void) {
    errno = ERANGE;
    void *block = malloc(100);
    CHECK(block != NULL && (uintptr_t)block % 16 == 0 && errno == ERANGE);
    CHECK(malloc_usable_size(block) >= 100);
    free(block);
    CHECK(errno == ERANGE);
    free(NULL);

    void *empty = malloc(0), *other = malloc(0);
    CHECK(empty != NULL && other != NULL && empty != other);
    free(empty);
    free(other);
    CHECK((block = calloc(0, 8)) != NULL);
    free(block);

    char *zeros = calloc(100, 100);
    for (int at = 0; at < 10000; at++) CHECK(zeros[at] == 0);
    memset(zeros, 7, 10000);
    zeros = realloc(zeros, 20000);
    for (int at = 0; at < 10000; at++) CHECK(zeros[at] == 7);
    errno = 0;
    CHECK(fails(realloc(zeros, huge)));
    CHECK(zeros[0] == 7 && zeros[9999] == 7);
    CHECK(realloc(zeros, 0) == NULL);
    CHECK((block = realloc(NULL, 50)) != NULL);
    CHECK(reallocarray(block, beyond, two) == NULL);
    free(block);
    CHECK((block = realloc(NULL, 0)) != NULL);
    free(block);

    for (int each = 0; each < 100; each++) {
        errno = 0; CHECK(fails(malloc(huge)));
        errno = 0; CHECK(fails(malloc(beyond)));
        errno = 0; CHECK(fails(malloc(PTRDIFF_MAX)));
        errno = 0; CHECK(fails(calloc(beyond, two)));
        errno = 0; CHECK(fails(calloc(huge, 1)));
        errno = 0; CHECK(fails(memalign(64, huge)));
        errno = 0; CHECK(fails(aligned_alloc(64, huge)));
        errno = 0; CHECK(fails(valloc(huge)));
        errno = 0; CHECK(fails(pvalloc(huge + 4090)));
    }

    for (size_t alignment = 1; alignment <= 1 << 20; alignment *= 2) {
        CHECK((block = memalign(alignment, 10)) != NULL && (uintptr_t)block % alignment == 0);
        free(block);
        CHECK((block = aligned_alloc(alignment, alignment)) != NULL && (uintptr_t)block % alignment == 0);
        free(block);
        void *result = &huge;
        int answer = posix_memalign(&result, alignment, 10);
        if (alignment < sizeof(void *)) {
            CHECK(answer == EINVAL && result == &huge);
        } else {
            CHECK(answer == 0 && (uintptr_t)result % alignment == 0);
            free(result);
        }
    }
    void *result = &huge;
    CHECK(posix_memalign(&result, 24, 10) == EINVAL && posix_memalign(&result, 0, 10) == EINVAL);
    CHECK(posix_memalign(&result, 64, huge) == ENOMEM && result == &huge);
    CHECK((block = valloc(10)) != NULL && (uintptr_t)block % 4096 == 0);
    free(block);
    CHECK((block = pvalloc(10)) != NULL && (uintptr_t)block % 4096 == 0 && malloc_usable_size(block) >= 4096);
    free(block);
    return 0;
}

void *leak(size_t size) { return malloc(size); }
"#;

#[test]
fn what_c_relies_on_holds_whether_it_is_sampled_or_not() {
    isolated(1, || {
        let library = Library::of("checks", CHECKS);
        let check: extern "C" fn() -> i32 = library.function("check");
        for interval in [0, 512 << 10, 1] {
            set_sampling_interval(interval);
            assert_eq!(check(), 0, "line of the check at an interval of {interval}");
        }
    });
}

/// A size that nobody has would raise the countdown by gigabytes, and the thread would not be sampled any more.
#[test]
fn sizes_that_nobody_has_do_not_stop_the_sampling() {
    isolated(1, || {
        let library = Library::of("checks", CHECKS);
        let leak: extern "C" fn(usize) -> *mut libc::c_void = library.function("leak");
        set_sampling_interval(64 << 10);
        assert!(leak(usize::MAX - (1 << 40)).is_null());
        assert!(!leak(64 << 20).is_null());
        assert!(snapshot().totals().inuse_bytes >= f64::from(64 << 20));
    });
}
