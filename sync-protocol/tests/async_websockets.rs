//! Conversations over real web sockets on loopback.
#![allow(missing_docs)]

#[path = "support/shared.rs"]
mod shared;
mod support;

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use shared::Shared;
use sync_protocol::drive::{StreamError, Until, websocket, websocket_config};
use sync_protocol::{Config, EndReason, Session};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::{WebSocketStream, accept_async_with_config, client_async_with_config};

type Socket = WebSocketStream<TcpStream>;

async fn connected() -> (Socket, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let url = format!("ws://{address}/sync");
        client_async_with_config(url, stream, Some(websocket_config())).await.unwrap().0
    };
    let server = async {
        let stream = listener.accept().await.unwrap().0;
        accept_async_with_config(stream, Some(websocket_config())).await.unwrap()
    };
    tokio::join!(client, server)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_sync_and_live_changes_both_ways() {
    let (a, b) = (Shared::new(1), Shared::new(2));
    (0..2_000).for_each(|n| a.set(n, n, "title", &"from a ".repeat(30)));
    (0..500).for_each(|n| b.set(1_500 + n, n, "notes", "from b"));
    let (one, other) = connected().await;
    let (here, there) = (a.clone(), b.clone());
    let at_a = tokio::spawn(async move { here.converse(1, &mut websocket(one), Until::Closed).await });
    let at_b = tokio::spawn(async move { there.converse(2, &mut websocket(other), Until::Closed).await });
    a.equals(&b).await;
    for n in 0..100 {
        a.set(n % 7, 10_000 + n, "title", "live from a");
        b.set(n % 5, 10_000 + n, "notes", "live from b");
    }
    a.equals(&b).await;
    b.wake.end();
    at_a.await.unwrap().0.unwrap();
    at_b.await.unwrap().0.unwrap();
}

#[tokio::test]
async fn two_that_sync_until_settled_both_come_to_an_end() {
    for (here, there) in [(0, 0), (1, 0), (900, 30)] {
        let (a, b) = (Shared::new(1), Shared::new(2));
        (0..here).for_each(|n| a.set(n, n, "title", &"from a ".repeat(30)));
        (0..there).for_each(|n| b.set(n, n, "notes", "from b"));
        let (one, other) = connected().await;
        let (mut one, mut other) = (websocket(one), websocket(other));
        let (at_a, at_b) =
            tokio::join!(a.converse(1, &mut one, Until::Settled), b.converse(2, &mut other, Until::Settled));
        at_a.0.unwrap();
        at_b.0.unwrap();
        assert_eq!(a.root(), b.root());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_in_the_middle_and_then_resume() {
    let (a, b) = (Shared::new(1), Shared::new(2));
    (0..2_000).for_each(|n| a.set(n, n, "title", &"from a ".repeat(50)));
    let (one, other) = connected().await;
    let (here, there) = (a.clone(), b.clone());
    let at_a = tokio::spawn(async move { here.converse(1, &mut websocket(one), Until::Closed).await });
    let at_b = tokio::spawn(async move { there.converse(2, &mut websocket(other), Until::Closed).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    at_a.abort();
    let _ = at_a.await;
    let (ended, _) = at_b.await.unwrap();
    assert!(matches!(ended, Err(StreamError::Io(_))), "{ended:?}");
    let (one, other) = connected().await;
    let (mut one, mut other) = (websocket(one), websocket(other));
    let (at_a, at_b) =
        tokio::join!(a.converse(3, &mut one, Until::Settled), b.converse(4, &mut other, Until::Closed));
    at_a.0.unwrap();
    at_b.0.unwrap();
    assert_eq!(at_b.1.ended, Some(EndReason::Done));
    assert_eq!(a.root(), b.root());
}

#[tokio::test]
async fn pings_are_passed_over_and_what_is_no_message_ends_it() {
    let cases = [
        (Message::Text("hello".into()), true),
        (Message::Binary(vec![9; 40].into()), false),
        (Message::Binary(vec![0; (4 << 20) + 1].into()), false),
    ];
    for (message, is_framing) in cases {
        let a = Shared::new(1);
        let (one, mut other) = connected().await;
        let stranger = async {
            other.send(Message::Ping(vec![1].into())).await.unwrap();
            let _ = other.send(message).await;
            while let Some(Ok(_)) = other.next().await {}
        };
        let mut one = websocket(one);
        let here = async {
            let (ended, _) = a.converse(1, &mut one, Until::Closed).await;
            drop(one);
            ended
        };
        let (ended, ()) = tokio::join!(here, stranger);
        let error = ended.unwrap_err();
        assert_eq!(matches!(error, StreamError::Framing), is_framing, "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_not_written_for() {
    let a = Shared::new(1);
    (0..4_000).for_each(|n| a.set(n, n, "title", &support::noise(n, 1_200)));
    let (one, other) = tokio::io::duplex(4_096);
    let one = WebSocketStream::from_raw_socket(one, Role::Server, Some(websocket_config())).await;
    let mut other = WebSocketStream::from_raw_socket(other, Role::Client, Some(websocket_config())).await;
    let here = a.clone();
    let at_a = tokio::spawn(async move { here.converse(1, &mut websocket(one), Until::Closed).await });
    let (mut replica, mut session) = (support::replica(2), Session::new(Config::new(2), support::START_MS));
    while session.status().way.is_none() {
        while let Some(message) = session.transmit(&mut replica, support::START_MS).unwrap() {
            other.send(Message::Binary(message.into())).await.unwrap();
        }
        let message = other.next().await.unwrap().unwrap().into_data();
        session.receive(&mut replica, &message, support::START_MS).unwrap();
    }
    while let Some(message) = session.transmit(&mut replica, support::START_MS).unwrap() {
        other.send(Message::Binary(message.into())).await.unwrap();
    }
    // It asked for everything, and from here on it reads nothing.
    let (ended, status) = at_a.await.unwrap();
    assert!(matches!(ended, Err(StreamError::Ended(EndReason::TimedOut))), "{ended:?}");
    let sent = status.traffic.bytes_sent;
    assert!((10_000..300_000).contains(&sent), "{sent} of 5,000,000 bytes were made to wait");
}
