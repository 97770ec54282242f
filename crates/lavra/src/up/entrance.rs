//! Who may come in: so many connections at once, and none that takes its time to say what it wants.
//!
//! `axum::serve` has no limit of its own. A connection that asks nothing, or sends half a request's head, would hold its place
//! for as long as it likes, and with it what the source that others push to needs.

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections at once; others wait until one ends.
const CONNECTIONS_MAX: usize = 512;

/// How long a connection may be without a request: from its start to the end of the first one's head, and from an answer to
/// the next.
const SILENCE_MAX: Duration = Duration::from_secs(10);

pub struct Entrance {
    listener: TcpListener,
    room: Arc<Semaphore>,
    silence_max: Duration,
}

impl Entrance {
    pub fn new(listener: TcpListener) -> Self {
        Self { listener, room: Arc::new(Semaphore::new(CONNECTIONS_MAX)), silence_max: SILENCE_MAX }
    }
}

impl Listener for Entrance {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // It is never closed.
        let room = self.room.clone().acquire_owned().await.ok();
        let (stream, from) = Listener::accept(&mut self.listener).await;
        let end = Box::pin(sleep(self.silence_max));
        let visits = Visits::default();
        (Connection { stream, seen: visits.count(), visits, silence_max: self.silence_max, end, _room: room }, from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The requests of one connection.
#[derive(Debug, Clone, Default)]
pub struct Visits(Arc<[AtomicU64; 2]>);

impl Visits {
    /// Those that began, and those that have an answer.
    fn count(&self) -> (u64, u64) {
        (self.0[0].load(Ordering::Acquire), self.0[1].load(Ordering::Acquire))
    }
}

impl Connected<IncomingStream<'_, Entrance>> for Visits {
    fn connect_info(stream: IncomingStream<'_, Entrance>) -> Self {
        stream.io().visits.clone()
    }
}

/// A request that is being answered; it may be dropped before that, when who asked has gone.
struct Visit(Visits);

impl Visit {
    fn begin(visits: Visits) -> Self {
        visits.0[0].fetch_add(1, Ordering::AcqRel);
        Self(visits)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.0[1].fetch_add(1, Ordering::AcqRel);
    }
}

/// Lets the connection know that it has a request: how long that may take is not its affair.
pub async fn visit(ConnectInfo(visits): ConnectInfo<Visits>, request: Request, next: Next) -> Response {
    let _visit = Visit::begin(visits);
    next.run(request).await
}

/// Fails to read when it was without a request for too long.
pub struct Connection {
    stream: TcpStream,
    visits: Visits,
    seen: (u64, u64),
    silence_max: Duration,
    end: Pin<Box<Sleep>>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Connection {
    fn is_silent_for_too_long(&mut self, context: &mut Context<'_>) -> bool {
        loop {
            let count = self.visits.count();
            if count != self.seen {
                self.seen = count;
                self.end.as_mut().reset(Instant::now() + self.silence_max);
            }
            if self.end.as_mut().poll(context).is_pending() {
                return false;
            }
            if count.0 == count.1 {
                return true;
            }
            // While it is answered nobody reads, nor does anybody when it was: the clock is what wakes the reader then.
            self.end.as_mut().reset(Instant::now() + self.silence_max);
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let connection = self.get_mut();
        if connection.is_silent_for_too_long(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut connection.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    const SILENCE: Duration = Duration::from_millis(400);

    /// Serves `/slow`, which takes twice as long as a connection may be silent.
    async fn serve(connections_max: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let entrance = Entrance { listener, room: Arc::new(Semaphore::new(connections_max)), silence_max: SILENCE };
        let address = entrance.local_addr().expect("an address");
        let slow = get(|| async {
            sleep(SILENCE * 2).await;
            "answered"
        });
        let router = Router::new().route("/slow", slow).layer(axum::middleware::from_fn(visit));
        let service = router.into_make_service_with_connect_info::<Visits>();
        tokio::spawn(async move { axum::serve(entrance, service).await });
        address
    }

    async fn connect(address: SocketAddr, says: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(says.as_bytes()).await.expect("written");
        stream
    }

    /// What comes until the connection ends.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut said = Vec::new();
        // One that is cut may end with a reset.
        let _ = timeout(Duration::from_secs(20), stream.read_to_end(&mut said)).await.expect("its end");
        String::from_utf8_lossy(&said).into_owned()
    }

    #[tokio::test]
    async fn who_does_not_say_what_he_wants_is_shown_out_and_who_waits_for_an_answer_is_not() {
        let address = serve(8).await;
        let mut half = connect(address, "GET /slow HTTP/1.1\r\nhost: x\r\nx-half").await;
        let mut silent = connect(address, "").await;
        let mut patient = connect(address, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(!rest(&mut half).await.contains("200 OK"));
        assert_eq!(rest(&mut silent).await, "");
        let said = rest(&mut patient).await;
        assert!(said.contains("200 OK") && said.ends_with("answered"), "{said}");
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_a_connection_ends() {
        let address = serve(1).await;
        let _silent = connect(address, "GET /sl").await;
        let mut second = connect(address, "GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(rest(&mut second).await.ends_with("answered"));
    }
}
