//! The faulty proxy harms connections as it is told.

#![cfg(feature = "servers")]
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use larder_testkit::servers::{Fault, FaultProxy};

/// A server that says everything back.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            std::thread::spawn(move || {
                let mut bytes = [0; 64];
                while let Ok(len @ 1..) = client.read(&mut bytes) {
                    client.write_all(&bytes[..len]).unwrap();
                }
            });
        }
    });
    address
}

fn ask(client: &mut TcpStream) -> std::io::Result<[u8; 4]> {
    client.write_all(b"ping")?;
    let mut answer = [0; 4];
    client.read_exact(&mut answer)?;
    Ok(answer)
}

#[test]
fn each_fault_does_what_it_says() {
    let proxy = FaultProxy::before(echo());
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    assert_eq!(&ask(&mut client).unwrap(), b"ping");
    for late in [
        Fault::Delay(Duration::from_millis(2)),
        Fault::Drip(Duration::from_millis(1)),
    ] {
        proxy.set(late);
        assert_eq!(&ask(&mut client).unwrap(), b"ping", "{late:?}");
    }
    proxy.set(Fault::Scramble);
    assert_ne!(&ask(&mut client).unwrap(), b"ping");

    proxy.set(Fault::Swallow);
    let patience = Some(Duration::from_millis(20));
    client.set_read_timeout(patience).unwrap();
    assert!(ask(&mut client).is_err(), "nothing arrives");
    proxy.set(Fault::None);
    client.set_read_timeout(None).unwrap();
    let mut late = [0; 4];
    client.read_exact(&mut late).unwrap();
    assert_eq!(&late, b"ping", "it was only held up");

    proxy.set(Fault::Cut);
    assert!(ask(&mut client).is_err());
    proxy.set(Fault::None);
    let mut another = TcpStream::connect(proxy.address()).unwrap();
    assert_eq!(&ask(&mut another).unwrap(), b"ping");
}
