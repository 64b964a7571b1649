//! A hub for browser tabs: serves the page beside this file, and holds a replica with which every tab syncs over a
//! WebSocket. So tabs need not be open together, and each change is pushed to the others at once. `page.rs` sends files.
//!
//! `cargo xtask npm && cargo run --example web -- [address] [database]`, then open the address that it prints.

mod page;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::{SinkExt as _, StreamExt as _};
use rejoin::core::{Limits, Namespace, Replica};
use rejoin::protocol::{Config, Session, SessionEvent};
use rejoin::sqlite::{OpenOptions, SqliteStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::{select, sync::watch, time::sleep, time::timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

type Error = Box<dyn std::error::Error + Send + Sync>;

struct Hub {
    /// Locked for one step of a session at a time, never while a socket makes us wait.
    replica: Mutex<Replica<SqliteStore>>,
    /// Rings when the replica changed: then each session looks whether it has something to push.
    changed: watch::Sender<()>,
}

impl Hub {
    fn with<R>(&self, step: impl FnOnce(&mut Replica<SqliteStore>) -> R) -> R {
        step(&mut self.replica.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8095".into());
    let file = arguments.next().map_or_else(|| page::root().join("target/web-hub.db"), Into::into);
    let store = SqliteStore::open(&file, &OpenOptions::new(Namespace::from_secret("the web example")))?.store;
    let hub = Arc::new(Hub { replica: Mutex::new(Replica::new(store)), changed: watch::Sender::new(()) });
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
async fn serve(mut stream: TcpStream, hub: &Hub) -> Result<(), Error> {
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
    // Small buffers, because most sockets are idle; nothing larger than a message of the protocol.
    let largest = Limits::DEFAULT.message_bytes;
    let sizes = WebSocketConfig::default().read_buffer_size(4 << 10).write_buffer_size(4 << 10);
    let sizes = sizes.max_write_buffer_size(2 * largest).max_message_size(Some(largest));
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(sizes)).await;
    let ended = converse(&mut socket, hub).await;
    let _ = timeout(Duration::from_secs(1), socket.close(None)).await;
    ended
}

/// A session until the tab goes. An error ends this session only: what came was taken whole, or not at all.
async fn converse(socket: &mut WebSocketStream<TcpStream>, hub: &Hub) -> Result<(), Error> {
    let mut session = Session::new(Config::new(uuid::Uuid::new_v4().as_u64_pair().0), now_ms());
    let mut changed = hub.changed.subscribe();
    while session.ended().is_none() {
        while let Some(message) = hub.with(|replica| session.transmit(replica, now_ms()))? {
            timeout(Duration::from_secs(30), socket.send(Message::binary(message))).await??;
        }
        let patience_ms = session.next_timeout_ms().map_or(60_000, |at| at.saturating_sub(now_ms()));
        select! {
            message = socket.next() => match message {
                Some(Ok(Message::Binary(message))) => {
                    hub.with(|replica| session.receive(replica, &message, now_ms()))?;
                    while let Some(event) = session.poll_event() {
                        if let SessionEvent::Applied { .. } = event {
                            hub.changed.send_replace(());
                        }
                    }
                }
                None | Some(Ok(Message::Close(_))) => return Ok(()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(message) => return Err(format!("{} is not of this protocol", message?).into()),
            },
            _ = changed.changed() => {}
            () = sleep(Duration::from_millis(patience_ms)) => { session.expire(now_ms()); }
        }
    }
    Ok(())
}

fn now_ms() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
