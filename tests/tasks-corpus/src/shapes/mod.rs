//! The shapes, by what their tasks wait for.

mod boxes;
mod branches;
mod channels;
mod locks;
mod nesting;
mod others;
mod sets;
mod sockets;
mod streams;
mod times;

use crate::planted::Planted;

/// Spawns one task of each shape, or several.
pub(crate) async fn plant(planted: &mut Planted) {
    channels::plant(planted);
    locks::plant(planted);
    times::plant(planted);
    sockets::plant(planted).await;
    nesting::plant(planted);
    boxes::plant(planted);
    branches::plant(planted);
    streams::plant(planted);
    sets::plant(planted);
    others::plant(planted);
}
