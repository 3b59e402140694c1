//! The tests of `other_builds` run this program. Functions of every shape, whose names compilers mangle in two ways, leak a
//! megabyte each.

use std::hint::black_box;
use std::mem::forget;

use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::serve;

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

#[inline(always)]
fn leak() {
    forget(black_box(vec![1_u8; 1 << 20]));
}

mod pool {
    pub struct Pool<T>(pub Option<T>);

    impl<T> Pool<T> {
        #[inline(never)]
        pub fn fill(&self) {
            crate::leak();
        }
    }

    impl Pool<i8> {
        #[inline(never)]
        pub fn drain(&self) {
            crate::leak();
        }
    }

    impl Pool<i16> {
        #[inline(never)]
        pub fn drain(&self) {
            crate::leak();
            crate::leak();
        }
    }
}

mod encode {
    use crate::pool::Pool;

    pub trait Encode {
        fn encode(&self);
        #[inline(never)]
        fn twice(&self) {
            crate::leak();
        }
    }

    impl<T> Encode for Pool<T> {
        #[inline(never)]
        fn encode(&self) {
            crate::leak();
        }
    }

    impl Encode for Vec<u8> {
        #[inline(never)]
        fn encode(&self) {
            crate::leak();
        }
    }

    impl Encode for Vec<String> {
        #[inline(never)]
        fn encode(&self) {
            crate::leak();
            crate::leak();
        }
    }

    impl Pool<u8> {
        #[inline(never)]
        pub fn elsewhere(&self) {
            let closure = || crate::leak();
            std::hint::black_box(closure)();
        }
    }
}

struct Error;

impl From<std::fmt::Error> for Error {
    #[inline(never)]
    fn from(_: std::fmt::Error) -> Error {
        leak();
        Error
    }
}

impl From<std::num::ParseIntError> for Error {
    #[inline(never)]
    fn from(_: std::num::ParseIntError) -> Error {
        leak();
        leak();
        Error
    }
}

#[inline(never)]
fn generic<T>() {
    leak();
    black_box(size_of::<T>());
}

/// The name of a function that has it as an argument has some 100 000 characters.
type Deep = P2<P2<P2<P2<u8>>>>;
type P2<T> = P1<P1<P1<T>>>;
type P1<T> = P<T, T>;
struct P<A, B>(Option<(*const A, *const B)>);

#[inline(never)]
fn deep<T, const N: usize>() {
    leak();
    black_box((size_of::<T>(), N));
}

impl encode::Encode for Deep {
    #[inline(never)]
    fn encode(&self) {
        leak();
        black_box(self.0);
    }
}

fn main() {
    use encode::Encode;
    pprof_server::alloc_profiler::set_sampling_interval(1);
    (pool::Pool(Some(1_u8)).fill(), pool::Pool(Some("a")).fill());
    (pool::Pool(Some(1_i8)).drain(), pool::Pool(Some(1_i16)).drain());
    (pool::Pool(Some(1_u8)).encode(), pool::Pool(Some("a")).encode());
    (pool::Pool(Some(1_u8)).twice(), vec![1_u8].twice());
    (vec![1_u8].encode(), vec![String::new()].encode());
    pool::Pool(Some(1_u8)).elsewhere();
    (generic::<u16>(), generic::<u32>());
    (deep::<Deep, 1>(), deep::<Deep, 2>(), deep::<Deep, 3>());
    Encode::encode(&P(None) as &Deep);
    black_box((Error::from(std::fmt::Error), Error::from("".parse::<u8>().unwrap_err())));

    let server = serve("127.0.0.1:0").unwrap();
    println!("served at {}", server.local_addr());
    std::io::read_to_string(std::io::stdin()).unwrap();
}
