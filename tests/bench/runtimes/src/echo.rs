// SPDX-License-Identifier: LGPL-2.1-or-later
//! A server that sends each message back, on the sockets of any of the runtimes.
use crate::rt::{ReadExt, TcpListener, TcpStream, WriteExt};

pub async fn listen(port: impl Fn(u16), serve: impl Fn(TcpStream)) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    port(listener.local_addr().expect("an address").port());
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("nodelay");
        serve(stream);
    }
}

/// One message back; false: the other end has gone.
pub async fn answer(stream: &mut TcpStream, message: &mut [u8]) -> bool {
    stream.read_exact(message).await.is_ok() && stream.write_all(message).await.is_ok()
}
