//! What `live` and `filter` use of the process.

pub(crate) mod alone;
pub(crate) mod sync;
