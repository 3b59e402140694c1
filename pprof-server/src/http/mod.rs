//! stub
/// A running server; stops when dropped.
#[derive(Debug)]
pub struct Server {}
/// Starts it.
pub fn serve(_addr: &str) -> std::io::Result<Server> {
    Ok(Server {})
}
