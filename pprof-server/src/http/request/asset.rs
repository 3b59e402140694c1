//! The files of the page at `/debug/pprof/`, by name.
//!
//! Path: *read path*.

/// A file of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asset {
    Script,
    Style,
}

impl Asset {
    /// The file of this name.
    pub(crate) fn named(name: &str) -> Option<Asset> {
        match name {
            "ui.js" => Some(Asset::Script),
            "ui.css" => Some(Asset::Style),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_exact_names() {
        assert_eq!((Asset::named("ui.js"), Asset::named("ui.map")), (Some(Asset::Script), None));
    }
}
