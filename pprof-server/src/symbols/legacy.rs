//! This turns demangled text into what people write: names in Rust's old mangling, `_ZN…E`, and names that debug
//! information has.
//!
//! The old mangling spells types as the source does, with its parameters: `<demo::Foo<T> as
//! core::clone::Clone>::clone`. So it shows what an implementation is generic over, and the rules that `v0` has for the
//! present mangling lead to the same names. It does not tell which closure is meant: all closures of a function are
//! `{{closure}}`.
//!
//! `function_name` calls this.
//!
//! Path: *read path*.

use super::brackets::{split, split_as, split_once, within_brackets};

/// Returns the name of the function that `mangled` stands for. It is `None` if `mangled` is not of this mangling, or if
/// its text takes a megabyte.
pub(super) fn demangle(mangled: &str) -> Option<String> {
    // The other mangling has a reader of its own, `v0`, which knows more.
    if mangled.trim_start_matches('_').starts_with('R') {
        return None;
    }
    let demangled = format!("{:#}", rustc_demangle::try_demangle(mangled).ok()?);
    // The library ends a text of more than a megabyte with these words. Two such names would become one.
    (!demangled.ends_with("{size limit reached}")).then(|| simplified(&demangled))
}

/// Returns `path` without the generic arguments that do not tell it from other functions.
pub(crate) fn simplified(path: &str) -> String {
    let mut name = String::with_capacity(path.len().min(256));
    let segments = split(path, "::");
    for (index, segment) in segments.iter().enumerate() {
        if let Some(inner) = segment.strip_prefix('<').and_then(within_brackets) {
            if index == 0 || inner.starts_with("impl ") {
                // What stands before it is the module that contains the implementation.
                name = implementation(inner);
            }
            continue;
        }
        if index > 0 {
            name.push_str("::");
        }
        let (plain, arguments) = segment.split_at(segment.find('<').unwrap_or(segment.len()));
        // This is a name of the compiler's own, glued to the function that it is for.
        match plain.split_once("{{vtable.shim}}") {
            Some((function, _)) => name.push_str(&format!("{function}::{{shim:vtable#0}}")),
            None => name.push_str(plain),
        }
        let is_function = index + 1 == segments.len();
        if !is_function && !arguments.is_empty() && !has_parameter(arguments) {
            name.push_str(&spaced(arguments));
        }
    }
    name
}

/// Simplifies `Type as Trait`, `impl Trait for Type`, `impl Type` or `Type`, as the head of a function's name.
fn implementation(inner: &str) -> String {
    let (of_type, of_trait) = match inner.strip_prefix("impl ") {
        Some(inner) => split_once(inner, " for ").map_or((inner, None), |(a, b)| (b, Some(a))),
        None => split_as(inner).map_or((inner, None), |(a, b)| (a, Some(b))),
    };
    let is_generic = has_parameter(of_type) || of_trait.is_some_and(has_parameter);
    let shown_type = if is_generic { head(of_type) } else { spaced(of_type) };
    match of_trait {
        Some(of_trait) if is_generic => format!("<{shown_type} as {}>", generic_trait(of_trait)),
        Some(of_trait) => format!("<{shown_type} as {}>", spaced(of_trait)),
        None if is_path(&shown_type) => shown_type,
        None => format!("<{shown_type}>"),
    }
}

/// Returns the trait of a generic implementation, with `_` in place of each argument that is a parameter.
fn generic_trait(of_trait: &str) -> String {
    let plain = head(of_trait);
    let last = split(of_trait, "::").pop().unwrap_or_default();
    let arguments = last.find('<').and_then(|at| within_brackets(&last[at + 1..]));
    let shown: Vec<String> = split(arguments.unwrap_or(""), ",").into_iter().map(argument).collect();
    if shown.iter().all(|argument| argument.is_empty() || argument.trim_start_matches('&') == "_") {
        return plain;
    }
    format!("{plain}<{}>", shown.join(", "))
}

fn argument(text: &str) -> String {
    let text = text.trim();
    if let Some(target) = text.strip_prefix('&') {
        let (mutable, target) = target.strip_prefix("mut ").map_or(("", target), |target| ("mut ", target));
        return format!("&{mutable}{}", argument(target));
    }
    let is_parameter = has_parameter(text) && text.bytes().all(is_word);
    let is_constant = text.starts_with(|c: char| c.is_ascii_digit());
    if is_parameter || is_constant || text.starts_with('(') { "_".to_owned() } else { head(text) }
}

/// Returns a type without its arguments, such as `alloc::vec::Vec`, `&[_]`, `(_, _)` or `fn`.
fn head(ty: &str) -> String {
    let ty = ty.trim();
    for prefix in ["&mut ", "&", "*const ", "*mut "] {
        if let Some(target) = ty.strip_prefix(prefix) {
            return format!("{prefix}{}", head(target));
        }
    }
    if let Some(inner) = ty.strip_prefix('[') {
        return if split(inner.trim_end_matches(']'), ";").len() > 1 { "[_; _]" } else { "[_]" }.to_owned();
    }
    if let Some(inner) = ty.strip_prefix('(').map(|inner| inner.trim_end_matches(')')) {
        let fields = split(inner, ",").into_iter().filter(|field| !field.is_empty()).count();
        let one = if fields == 1 { "," } else { "" };
        return format!("({}{one})", vec!["_"; fields].join(", "));
    }
    if let Some(traits) = ty.strip_prefix("dyn ") {
        let traits: Vec<String> = split(traits, "+").into_iter().map(without_arguments).collect();
        return format!("dyn {}", traits.join(" + "));
    }
    if ["fn(", "unsafe fn(", "extern "].iter().any(|start| ty.starts_with(start)) {
        return "fn".to_owned();
    }
    without_arguments(ty)
}

fn without_arguments(path: &str) -> String {
    let segments = split(path.trim(), "::");
    // The type is within an implementation, such as a trait that a method defines for itself.
    if segments.iter().any(|segment| segment.starts_with('<')) {
        return simplified(path);
    }
    let plain = |segment: &&str| segment[..segment.find(['<', '(']).unwrap_or(segment.len())].to_owned();
    segments.iter().map(plain).collect::<Vec<_>>().join("::")
}

fn is_path(ty: &str) -> bool {
    ty.contains("::")
        && ty.bytes().next().is_some_and(is_word)
        && !ty.starts_with("dyn ")
        && !ty.starts_with("fn")
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// Whether `text` has a type parameter or a constant one in it. Such a name belongs to no crate.
fn has_parameter(text: &str) -> bool {
    const KNOWN: [&str; 29] = [
        "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f16", "f32",
        "f64", "f128", "bool", "char", "str", "dyn", "mut", "const", "fn", "unsafe", "extern", "for", "as",
        "true", "false",
    ];
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !is_word(bytes[at]) {
            at += 1;
            continue;
        }
        let start = at;
        at += bytes[start..].iter().take_while(|&&byte| is_word(byte)).count();
        let before = start.checked_sub(1).map_or(b' ', |before| bytes[before]);
        let is_alone = !matches!(before, b':' | b'\'' | b'{' | b'#' | b'"') && !text[at..].starts_with("::");
        // In `dyn Iterator<Item = u8>`, `Item` is a name that the trait defines.
        let is_bound = text[at..].trim_start().starts_with('=');
        if is_alone && !is_bound && !bytes[start].is_ascii_digit() && !KNOWN.contains(&&text[start..at]) {
            return true;
        }
    }
    false
}

/// Returns `text` with a space after each comma, and around each plus sign.
fn spaced(text: &str) -> String {
    let spaced = text.replace(", ", ",").replace(',', ", ").replace(", )", ",)");
    spaced.replace(" + ", "+").replace('+', " + ")
}
