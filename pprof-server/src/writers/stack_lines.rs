//! A terminal shows a stack by its first function, where that is, and who called it.
//!
//! Most frames of a service are those of its libraries: 20 of axum, tower and hyper below each handler. Each run of them
//! is one line, so that the callers that are shown are the user's own.
//!
//! Path: *read path*.

use super::wrapped::{LINE_WIDTH, Wrapped, between_parts};
use crate::profile::Frame;
use crate::symbols::brackets::{split_as, within_brackets};
use crate::symbols::library::library_of;
use crate::symbols::role::{Role, role};
use std::borrow::Cow;
use std::fmt;

/// So many callers are printed below the first function of a stack.
const CALLERS_SHOWN: usize = 3;
/// So many libraries are named of those that a run of frames is of.
const LIBRARIES_NAMED: usize = 3;
/// A line that goes on with the line before begins so many columns to the right of it, which is below a caller's name.
const HANGING: usize = 5;

impl Frame {
    /// Writes `frames`, leaf first, into lines that begin at column `margin`.
    pub(crate) fn write_stack(frames: &[Frame], margin: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = frames.first().map_or("[no names]".into(), |first| without_trait(&first.function));
        write_name(&function, margin, f)?;
        Frame::write_below(frames, margin, f)
    }

    /// Writes what a row says below its first function: where the first of `frames` is, and who called it.
    pub(crate) fn write_below(frames: &[Frame], margin: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, callers)) = frames.split_first() else { return Ok(()) };
        if let Some(place) = first.place() {
            write_name(&format!("at {place}"), margin, f)?;
        }
        let callers: Vec<Caller<'_>> = callers.iter().filter_map(Caller::of).collect();
        // Where all is a library's, what the library does is what there is to see.
        let folds = Caller::of(first).iter().chain(&callers).any(|frame| frame.library.is_none());
        let (mut rest, mut shown) = (callers.as_slice(), 0);
        while let Some((caller, outer)) = rest.split_first() {
            let run = rest.iter().take_while(|caller| caller.library.is_some()).count();
            rest = if folds && run > 1 {
                writeln!(f, "{:margin$}… {run} frames of {}", "", libraries(&rest[..run]))?;
                &rest[run..]
            } else if shown < CALLERS_SHOWN {
                shown += 1;
                caller.write(margin, f)?;
                outer
            } else {
                let plural = if rest.len() == 1 { "" } else { "s" };
                return writeln!(f, "{:margin$}… and {} more frame{plural}", "", rest.len());
            }
        }
        Ok(())
    }

    /// Returns the function, with `file:line` if they are known.
    #[cfg(feature = "http")]
    pub(crate) fn with_place(&self) -> String {
        match self.place() {
            Some(place) => format!("{} ({place})", self.function),
            None => self.function.clone(),
        }
    }

    /// Returns `file:line`, if they are known.
    fn place(&self) -> Option<String> {
        (!self.file.is_empty()).then(|| format!("{}:{}", short_path(&self.file), self.line))
    }
}

/// A caller that somebody wrote; the allocator and the standard library are of no interest.
struct Caller<'a> {
    frame: &'a Frame,
    /// The crate that it is of, unless it is the user's own or that is not known.
    library: Option<&'a str>,
}

impl<'a> Caller<'a> {
    fn of(frame: &'a Frame) -> Option<Caller<'a>> {
        let library = library_of(&frame.file);
        let is_shown = library.is_some() || role(&frame.function, &frame.file) == Role::User;
        is_shown.then_some(Caller { frame, library })
    }

    fn write(&self, margin: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = format!("from {}", without_trait(&self.frame.function));
        match self.frame.place() {
            Some(place)
                if margin + from.chars().count() + ", ".len() + place.chars().count() <= LINE_WIDTH =>
            {
                writeln!(f, "{:margin$}{from}, {place}", "")
            }
            Some(place) => {
                write_name(&(from + ","), margin, f)?;
                write_name(&place, margin + HANGING, f)
            }
            None => write_name(&from, margin, f),
        }
    }
}

/// Writes a name, which goes on below if it is wider than a line.
fn write_name(name: &str, margin: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}", Wrapped { text: name, margin, hanging: margin + HANGING, may_end: between_parts })
}

/// Lists the crates that `callers` are of, each once, those that are nearest to the leaf first.
fn libraries(callers: &[Caller<'_>]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in callers.iter().filter_map(|caller| caller.library) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let named = names[..names.len().min(LIBRARIES_NAMED)].join(", ");
    match names.len().saturating_sub(LIBRARIES_NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// Traits of the standard library whose functions are known by their own names, such as `poll` and `next`.
const TELLING_TRAITS: [&str; 5] =
    ["core::future::", "core::iter::traits::iterator::", "core::ops::", "core::clone::", "core::default::"];

/// Returns `function` without the trait that it implements, where its name says as much: `<T as Future>::poll` is
/// `T::poll`.
fn without_trait(function: &str) -> Cow<'_, str> {
    let plain = || {
        let inner = within_brackets(function.strip_prefix('<')?)?;
        let (implementor, of_trait) = split_as(inner)?;
        let method = &function[inner.len() + "<>".len()..];
        let is_telling = TELLING_TRAITS.iter().any(|module| of_trait.starts_with(module));
        is_telling.then(|| Cow::Owned(format!("{implementor}{method}")))
    };
    plain().unwrap_or(Cow::Borrowed(function))
}

/// Returns the part of a path that tells something. It begins at the crate's folder for dependencies, at `library/` for
/// the standard library, and at the current directory for what lies in it.
fn short_path(path: &str) -> &str {
    let below = |prefix: &str| path.split_once(prefix).and_then(|(_, rest)| rest.split_once('/'));
    if let Some((_, rest)) = below("/registry/src/").or_else(|| below("/rustc/")) {
        return rest;
    }
    let current = std::env::current_dir().unwrap_or_default();
    let relative = current.to_str().and_then(|current| path.strip_prefix(current)?.strip_prefix('/'));
    relative.unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKIO: &str = "/home/me/.cargo/registry/src/index.crates.io-1/tokio-1.54.0-rc.1/src/net.rs";
    const HYPER: &str = "/home/me/.cargo/registry/src/index.crates.io-1/hyper-util-0.1.2/src/lib.rs";
    const STD: &str = "/rustc/123/library/core/src/iter.rs";

    /// Shows a stack of these functions and files, leaf first.
    struct Shown<'a>(&'a [(&'a str, &'a str)]);

    impl fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let frame = |&(function, file): &(&str, &str)| Frame {
                function: function.into(),
                file: file.into(),
                line: 7,
                is_inlined: false,
            };
            Frame::write_stack(&self.0.iter().map(frame).collect::<Vec<_>>(), 2, f)
        }
    }

    #[test]
    fn runs_of_library_frames_are_one_line_and_own_frames_are_named() {
        let stack = [
            ("tokio::sync::mpsc::block::Block::new", TOKIO),
            ("tokio::sync::mpsc::list::Tx::push", TOKIO),
            ("tokio::sync::mpsc::Sender::send", TOKIO),
            ("shop::publish", "src/shop.rs"),
            ("core::iter::Map::fold", STD),
            ("hyper::one", HYPER),
            ("shop::handle", "src/shop.rs"),
            ("axum::call", HYPER),
            ("std::panic::catch_unwind", STD),
            ("tokio::runtime::park", TOKIO),
            ("shop::main", "src/main.rs"),
            ("shop::outer", "src/main.rs"),
            ("main", ""),
            ("shop::outermost", "src/main.rs"),
        ];
        let expected = "  tokio::sync::mpsc::block::Block::new
  at tokio-1.54.0-rc.1/src/net.rs:7
  … 2 frames of tokio
  from shop::publish, src/shop.rs:7
  from hyper::one, hyper-util-0.1.2/src/lib.rs:7
  from shop::handle, src/shop.rs:7
  … 2 frames of hyper-util, tokio
  … and 3 more frames
";
        assert_eq!(Shown(&stack).to_string(), expected);
        let of_own = [("shop::handle", "src/shop.rs"), ("axum::call", HYPER), ("tokio::poll", TOKIO)];
        assert!(
            Shown(&of_own).to_string().ends_with("at src/shop.rs:7\n  … 2 frames of hyper-util, tokio\n")
        );
        assert!(Shown(&stack[..12]).to_string().ends_with("… and 2 more frames\n"));
        assert!(Shown(&stack[..11]).to_string().ends_with("… and 1 more frame\n"));
        assert!(Shown(&stack[..10]).to_string().ends_with("… 2 frames of hyper-util, tokio\n"));
        assert!(Shown(&stack[..6]).to_string().ends_with("from hyper::one, hyper-util-0.1.2/src/lib.rs:7\n"));
    }

    #[test]
    fn where_all_is_a_librarys_its_frames_are_named() {
        let stack = [("a", TOKIO), ("b", TOKIO), ("c", TOKIO), ("d", TOKIO), ("e", TOKIO)];
        let place = "tokio-1.54.0-rc.1/src/net.rs:7";
        let expected = format!(
            "  a\n  at {place}\n  from b, {place}\n  from c, {place}\n  from d, {place}\n  … and 1 more frame\n"
        );
        assert_eq!(Shown(&stack).to_string(), expected);
        assert_eq!(Shown(&[]).to_string(), "  [no names]\n");
        assert_eq!(Shown(&[("a", ""), ("b", "")]).to_string(), "  a\n  from b\n");
    }

    #[test]
    fn a_caller_that_does_not_fit_has_its_place_below() {
        let function = "shop::a_module::of_some::depth::Type::with_a_method::{closure#0}";
        let stack = [("f", ""), (function, "src/another/module.rs")];
        let expected = format!("  f\n  from {function},\n       src/another/module.rs:7\n");
        assert_eq!(Shown(&stack).to_string(), expected);
    }

    #[test]
    fn libraries_beyond_the_third_are_counted() {
        let files = ["a-1.0", "b-c-2.0", "x11-3.0", "no_version", "y-5.0"]
            .map(|package| format!("/r/registry/src/index/{package}/src/lib.rs"));
        let mut stack = vec![("f", "f.rs")];
        stack.extend(files.iter().map(|file| ("g", file.as_str())));
        stack.push(("h", "h.rs"));
        let shown = Shown(&stack).to_string();
        assert!(shown.contains("\n  … 5 frames of a, b-c, x11 and 2 more\n  from h, h.rs:7\n"), "{shown}");
    }

    #[test]
    fn a_trait_whose_function_says_as_much_is_left_out() {
        for (function, shown) in [
            ("<shop::Connection<I> as core::future::future::Future>::poll", "shop::Connection<I>::poll"),
            (
                "<shop::f::{closure#0} as core::ops::function::FnOnce<()>>::call_once::{shim:vtable#0}",
                "shop::f::{closure#0}::call_once::{shim:vtable#0}",
            ),
            ("<shop::Error as core::fmt::Debug>::fmt", "<shop::Error as core::fmt::Debug>::fmt"),
            ("<F as axum::handler::Handler<(T,),S>>::call", "<F as axum::handler::Handler<(T,),S>>::call"),
            ("<shop::Pool<u8>>::drain", "<shop::Pool<u8>>::drain"),
            ("<broken as core::future::", "<broken as core::future::"),
        ] {
            assert_eq!(without_trait(function), shown);
        }
    }
}
