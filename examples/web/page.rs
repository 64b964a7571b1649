//! Sends the page's files, and those of the npm package under `/rejoin/`.

use std::path::Path;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Answers a request for a path with the file, or says that there is none.
pub async fn send(stream: &mut TcpStream, path: &str) -> Result<(), crate::Error> {
    let path = if path == "/" { "/index.html" } else { path };
    let file = match path.strip_prefix("/rejoin/") {
        Some(file) => root().join("target/npm/rejoin").join(file),
        None => root().join("examples/web").join(path.trim_start_matches('/')),
    };
    // Nothing that leads out of these folders.
    let plain =
        path.bytes().all(|c| c.is_ascii_alphanumeric() || b"/_-.".contains(&c)) && !path.contains("..");
    let found = if plain { tokio::fs::read(file).await.ok() } else { None };
    let (status, body) = found.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    let kind = match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n", body.len());
    stream
        .write_all(format!("{head}connection: close\r\ncache-control: no-store\r\n\r\n").as_bytes())
        .await?;
    stream.write_all(&body).await?;
    Ok(stream.shutdown().await?)
}

/// The folder of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
