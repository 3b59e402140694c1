//! What the tests share: an allocator that counts exactly, to hold estimates against.

pub mod oracle;
