//! A way to a server that can be cut: a port that hands bytes on in both directions.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[derive(Default)]
struct Wire {
    is_cut: AtomicBool,
    /// Bytes that went through, both ways.
    passed: AtomicU64,
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
        let (wire, server) = (Arc::new(Wire::default()), server.to_owned());
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
        self.wire.is_cut.store(true, Ordering::SeqCst);
        for stream in self.wire.open.lock().expect("the connections").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn mend(&self) {
        self.wire.is_cut.store(false, Ordering::SeqCst);
    }

    /// Cuts as soon as so many more bytes have passed, and says whether that came to be.
    pub fn cut_after(&self, bytes: u64) -> std::thread::JoinHandle<bool> {
        let proxy = Self { address: self.address.clone(), wire: self.wire.clone() };
        let until = self.passed() + bytes;
        std::thread::spawn(move || {
            let start = Instant::now();
            while proxy.passed() < until {
                if start.elapsed() > Duration::from_secs(60) {
                    return false;
                }
                std::thread::sleep(Duration::from_micros(200));
            }
            proxy.cut();
            true
        })
    }

    pub fn passed(&self) -> u64 {
        self.wire.passed.load(Ordering::SeqCst)
    }
}

impl Wire {
    fn join(self: &Arc<Self>, client: &TcpStream, server: &TcpStream) {
        for (from, to) in [(client, server), (server, client)] {
            let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
            self.open.lock().expect("the connections").extend(from.try_clone());
            let wire = self.clone();
            std::thread::spawn(move || {
                let mut block = [0; 16 * 1024];
                while let Ok(length @ 1..) = from.read(&mut block) {
                    if wire.is_cut.load(Ordering::SeqCst) || to.write_all(&block[..length]).is_err() {
                        break;
                    }
                    wire.passed.fetch_add(length as u64, Ordering::SeqCst);
                }
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
            });
        }
    }
}
