//! A way to a server that can be cut, or fall silent: a port that hands bytes on in both directions.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

struct Wire {
    is_cut: AtomicBool,
    /// Bytes that may still pass, both ways, before it is cut or falls silent.
    left: AtomicU64,
    /// At the end of these bytes connections stay open, and nothing passes any more.
    falls_silent: AtomicBool,
    /// Connections that their client has not ended.
    held: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

pub struct Proxy {
    /// Host and port to use instead of the server's.
    pub address: String,
    wire: Arc<Wire>,
}

impl Proxy {
    /// To a server's host and port.
    pub fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address").to_string();
        let (wire, server) = (Arc::new(Wire::whole()), server.to_owned());
        let own = wire.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if own.is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                if let Ok(server) = TcpStream::connect(&server) {
                    own.join(&client, &server);
                }
            }
        });
        Self { address, wire }
    }

    /// Ends all connections, also in the middle of an answer, and takes no new one.
    pub fn cut(&self) {
        self.wire.cut();
    }

    /// Cuts after so many more bytes, wherever in a question or an answer that is.
    pub fn cut_after(&self, bytes: u64) {
        self.wire.left.store(bytes, Ordering::SeqCst);
    }

    /// After so many more bytes nothing passes, and nobody is told: connections stay open, and new ones are taken.
    pub fn silent_after(&self, bytes: u64) {
        self.wire.falls_silent.store(true, Ordering::SeqCst);
        self.wire.left.store(bytes, Ordering::SeqCst);
    }

    pub fn is_silent(&self) -> bool {
        self.wire.falls_silent.load(Ordering::SeqCst) && self.wire.left.load(Ordering::SeqCst) == 0
    }

    /// How many connections clients have not ended.
    pub fn held(&self) -> u64 {
        self.wire.held.load(Ordering::SeqCst)
    }

    pub fn is_cut(&self) -> bool {
        self.wire.is_cut.load(Ordering::SeqCst)
    }

    /// What was silent stays so; new connections are as they should be.
    pub fn mend(&self) {
        self.wire.left.store(u64::MAX, Ordering::SeqCst);
        self.wire.falls_silent.store(false, Ordering::SeqCst);
        self.wire.is_cut.store(false, Ordering::SeqCst);
    }
}

impl Wire {
    fn whole() -> Self {
        Self {
            is_cut: AtomicBool::new(false),
            left: AtomicU64::new(u64::MAX),
            falls_silent: AtomicBool::new(false),
            held: AtomicU64::new(0),
            open: Mutex::default(),
        }
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for stream in self.open.lock().expect("the connections").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// How many of so many bytes may pass.
    fn pass(&self, bytes: u64) -> u64 {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(bytes)));
        left.unwrap_or_else(|left| left).min(bytes)
    }

    fn join(self: &Arc<Self>, client: &TcpStream, server: &TcpStream) {
        self.held.fetch_add(1, Ordering::SeqCst);
        for (from, to, is_client) in [(client, server, true), (server, client, false)] {
            let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
            self.open.lock().expect("the connections").extend(from.try_clone());
            let wire = self.clone();
            std::thread::spawn(move || {
                let mut block = [0; 16 * 1024];
                while let Ok(length @ 1..) = from.read(&mut block) {
                    let passes = wire.pass(length as u64) as usize;
                    if wire.is_cut.load(Ordering::SeqCst) || to.write_all(&block[..passes]).is_err() {
                        break;
                    }
                    if passes < length {
                        match wire.falls_silent.load(Ordering::SeqCst) {
                            true => while matches!(from.read(&mut block), Ok(1..)) {},
                            false => wire.cut(),
                        }
                    }
                }
                if is_client {
                    wire.held.fetch_sub(1, Ordering::SeqCst);
                }
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
            });
        }
    }
}
