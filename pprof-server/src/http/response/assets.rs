//! The page at `/debug/pprof/` has two files beside it: its script and its style.
//!
//! They are built in `ui/` and checked in, so that cargo alone builds the product; `scripts/check-ui.sh` builds them
//! anew and compares. They are the same for every program and tell nothing of it, so a browser may keep them, and asks
//! with the tag whether they still hold.
//!
//! Path: *read path*. Pure.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::http::request::routes::Asset;

impl Asset {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Asset::Script => "text/javascript; charset=utf-8",
            Asset::Style => "text/css; charset=utf-8",
        }
    }

    pub(crate) fn bytes(self) -> &'static [u8] {
        match self {
            Asset::Script => include_bytes!("../../../ui/dist/ui.js"),
            Asset::Style => include_bytes!("../../../ui/dist/ui.css"),
        }
    }

    /// Returns the tag of these bytes. It is a strong one: two files with one tag are the same to the byte.
    pub(crate) fn entity_tag(self) -> String {
        let mut hasher = DefaultHasher::new();
        self.bytes().hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    /// What the page may weigh, as a browser elsewhere would fetch it.
    const MAX_GZIPPED_BYTES: usize = 120 << 10;

    #[test]
    fn the_page_is_small() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        for asset in [Asset::Script, Asset::Style] {
            gzip.write_all(asset.bytes()).unwrap();
        }
        let bytes = gzip.finish().unwrap().len();
        assert!(bytes <= MAX_GZIPPED_BYTES, "{bytes} bytes");
    }

    #[test]
    fn files_differ_and_so_do_their_tags() {
        assert_ne!(Asset::Script.entity_tag(), Asset::Style.entity_tag());
        assert_eq!(Asset::Script.entity_tag(), Asset::Script.entity_tag());
    }
}
