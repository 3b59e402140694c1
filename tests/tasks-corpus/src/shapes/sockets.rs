//! Tasks that wait for sockets.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};

use crate::planted::Planted;

async fn accepts(listener: TcpListener) {
    // waits: accept
    while let Ok((stream, _)) = listener.accept().await {
        drop(stream);
    }
}

async fn reads(mut stream: TcpStream) -> usize {
    let mut bytes = [0; 64];
    stream.read(&mut bytes).await.unwrap_or(0) // waits: tcp-read
}

async fn reads_a_line(stream: TcpStream) -> String {
    let mut line = String::new();
    let _length = BufReader::new(stream).read_line(&mut line).await; // waits: tcp-line
    line
}

async fn writes(mut stream: TcpStream) {
    let chunk = vec![0; 1 << 20];
    // Nobody reads, so the buffers of the system are full at some time.
    while stream.write_all(&chunk).await.is_ok() {} // waits: tcp-write
}

async fn looks(stream: TcpStream) {
    let _length = stream.peek(&mut [0]).await; // waits: tcp-peek
}

async fn copies(stream: TcpStream) {
    let (mut from, mut to) = stream.into_split();
    let _copied = tokio::io::copy(&mut from, &mut to).await; // waits: copy
}

async fn receives(socket: UdpSocket) {
    let mut datagram = [0; 16];
    let _length = socket.recv_from(&mut datagram).await; // waits: udp
}

async fn accepts_locally(listener: UnixListener) {
    let _accepted = listener.accept().await; // waits: unix-accept
}

async fn reads_locally(mut stream: UnixStream) {
    let mut bytes = Vec::new();
    let _length = stream.read_to_end(&mut bytes).await; // waits: unix-read
}

pub(super) async fn plant(planted: &mut Planted) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port can be had");
    let address = listener.local_addr().expect("it is bound");
    let mut streams = Vec::new();
    for _ in 0..5 {
        let client = TcpStream::connect(address).await.expect("it listens");
        planted.keep(client);
        streams.push(listener.accept().await.expect("somebody has connected").0);
    }
    let mut next = || streams.pop().expect("there are as many streams as shapes");
    planted.spawn("tcp-read", reads(next()));
    planted.spawn("tcp-line", reads_a_line(next()));
    planted.spawn("tcp-write", writes(next()));
    planted.spawn("tcp-peek", looks(next()));
    planted.spawn("copy", copies(next()));
    planted.spawn("accept", accepts(listener));
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port can be had");
    planted.spawn("udp", receives(socket));
    let (ours, theirs) = UnixStream::pair().expect("there are descriptors left");
    planted.spawn("unix-read", reads_locally(ours));
    planted.keep(theirs);
    let path = std::env::temp_dir().join(format!("tasks-corpus-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).expect("the folder for temporary files can be written");
    std::fs::remove_file(&path).expect("it was just made");
    planted.spawn("unix-accept", accepts_locally(listener));
}
