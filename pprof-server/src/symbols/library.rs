//! This tells whose code a source file is: the program's own, or that of other people's crates.
//!
//! The page and the table for the terminal put other people's code aside, so that the program's own is seen. The `history`
//! endpoint has the expression in its answer, for the page.
//!
//! Path: *read path*. These are pure functions of paths.

/// A regular expression that is found in the file of a function of somebody else's: of a crate that cargo fetched or that was
/// vendored, of the standard library, or of a library of the system. Debian's C library is built in folders such as `./socket`,
/// from files such as `../sysdeps/unix/sysv/linux/send.c`, so its debug information has both, one behind the other.
#[cfg(feature = "http")]
pub(crate) fn library_pattern() -> &'static str {
    r"(^|/)registry/src/|/git/checkouts/|(^|/)vendor/[^/]+/src/|^/rustc/|^/usr/(include|lib|src)/|^[.][.]/sysdeps/|^[.]/[a-z-]+/[.]+/"
}

/// Returns the name of the crate that has the source `file`, such as `hyper`, if that is a crate that cargo fetched or that was
/// vendored.
pub(crate) fn library_of(file: &str) -> Option<&str> {
    let mut rest = file;
    loop {
        let (folder, path) = rest.split_once('/')?;
        let name = match folder {
            // The next folder is that of an index, and in it there is one for each version of a crate.
            "registry" => {
                path.strip_prefix("src/").and_then(|path| path.split('/').nth(1)).map(without_version)
            }
            // The name of the repository has a hash behind it.
            "git" => path
                .strip_prefix("checkouts/")
                .and_then(|path| Some(path.split('/').next()?.rsplit_once('-')?.0)),
            "vendor" => {
                path.split_once('/').and_then(|(name, path)| path.starts_with("src/").then_some(name))
            }
            _ => None,
        };
        if name.is_some() {
            return name;
        }
        rest = path;
    }
}

/// Returns the name of a crate without the `-1.0.0` that follows.
fn without_version(name: &str) -> &str {
    let is_version = |&(at, _): &(usize, &str)| name[at + 1..].starts_with(|c: char| c.is_ascii_digit());
    name.match_indices('-').find(is_version).map_or(name, |(at, _)| &name[..at])
}

#[cfg(all(test, feature = "http"))]
mod tests {
    use super::*;
    use regex::Regex;

    /// The code of other people is found by where cargo and the system put it, and the program's own is not.
    #[test]
    fn the_code_of_others_is_found() {
        let pattern = Regex::new(library_pattern()).unwrap();
        for (file, is_theirs, library) in [
            ("/home/me/.cargo/registry/src/index-1949cf8c/hyper-1.7.0/src/client.rs", true, Some("hyper")),
            (
                "/home/me/.cargo/registry/src/index-1949cf8c/tokio-util-0.7.0-rc.1/src/a.rs",
                true,
                Some("tokio-util"),
            ),
            ("/home/me/.cargo/registry/src/index-1949cf8c/x11-2.0/src/lib.rs", true, Some("x11")),
            ("/home/me/.cargo/git/checkouts/tower-0123456789abcdef/89abcde/src/lib.rs", true, Some("tower")),
            (
                "/home/me/.cargo/git/checkouts/tower-0123456789abcdef/89abcde/tower/src/lib.rs",
                true,
                Some("tower"),
            ),
            ("/home/me/shop/vendor/axum/src/routing/mod.rs", true, Some("axum")),
            ("vendor/axum/src/routing/mod.rs", true, Some("axum")),
            ("/rustc/59807616e1fa/library/core/src/ops/function.rs", true, None),
            ("/usr/include/c++/12/bits/stl_vector.h", true, None),
            ("../sysdeps/x86_64/start.S", true, None),
            ("./socket/../sysdeps/unix/sysv/linux/send.c", true, None),
            ("./math/./w_pow_template.c", true, None),
            ("./src/main.rs", false, None),
            ("./shop/src/../include/list.h", false, None),
            ("/home/me/shop/src/registry/mod.rs", false, None),
            ("/home/me/shop/src/vendor/list.rs", false, None),
            ("/home/me/git/shop/src/main.rs", false, None),
            ("src/main.rs", false, None),
            ("", false, None),
        ] {
            assert_eq!((pattern.is_match(file), library_of(file)), (is_theirs, library), "{file}");
        }
    }
}
