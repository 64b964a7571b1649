//! A hub for browser tabs: serves the page beside this file, and holds a database with which every tab syncs over a
//! WebSocket. So tabs need not be open together, and each change is pushed to the others at once. `page.rs` sends files.
//!
//! `cargo xtask npm && cargo run --example web --features websocket -- [address] [database]`, then open the address
//! that it prints.

mod page;

use std::io::ErrorKind;
use std::time::Duration;

use rejoin::protocol::drive::{StreamError, Until, Wake, websocket, websocket_config};
use rejoin::{Database, OpenOptions, SyncOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8095".into());
    let file = arguments.next().map_or_else(|| page::root().join("target/web-hub.db"), Into::into);
    let hub = OpenOptions::new().secret("the web example").open(&file)?;
    let listener = TcpListener::bind(address).await?;
    println!("http://{}/ keeps its data in {}", listener.local_addr()?, file.display());
    loop {
        let ((stream, peer), hub) = (listener.accept().await?, hub.clone());
        tokio::spawn(async move {
            if let Err(error) = serve(stream, &hub).await {
                println!("{peer}: {error}");
            }
        });
    }
}

/// One connection: a session if it asks for `/sync`, a file if it asks for anything else.
async fn serve(mut stream: TcpStream, hub: &Database) -> Result<(), Error> {
    // Byte by byte, so that nothing is taken of what follows the request.
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && request.len() < 8 << 10 {
        request.push(timeout(Duration::from_secs(10), stream.read_u8()).await??);
    }
    let request = String::from_utf8(request)?;
    let path = request.split(' ').nth(1).unwrap_or("/");
    let header = |name: &str| {
        let mut lines = request.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    // A browser lets any page of any site open a socket to here: only the page that came from here may.
    let ours = header("origin").is_none_or(|origin| origin.split("//").nth(1) == header("host"));
    let Some(key) = header("sec-websocket-key").filter(|_| path == "/sync" && ours) else {
        return page::send(&mut stream, path).await;
    };
    let upgrade = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n";
    let accept = derive_accept_key(key.as_bytes());
    stream.write_all(format!("{upgrade}sec-websocket-accept: {accept}\r\n\r\n").as_bytes()).await?;
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(websocket_config())).await;
    // Until the tab goes. An error ends this conversation only: what came was taken whole, or not at all.
    match hub.converse(&mut websocket(socket), &SyncOptions::new(), Until::Closed, &Wake::new()).await {
        // A tab that is closed says no goodbye.
        Err(rejoin::Error::Sync(StreamError::Io(gone))) if gone.kind() == ErrorKind::UnexpectedEof => Ok(()),
        ended => Ok(ended.map(drop)?),
    }
}
