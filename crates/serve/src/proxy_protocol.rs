//! The PROXY protocol, versions 1 and 2: a front proxy says who the client is, before the first byte of HTTP.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ppp::HeaderResult;
use tokio::io::AsyncReadExt;

/// The longest header of version 1, CR LF included.
const V1_BYTES: usize = 107;

/// The longest header of version 2 that is taken, with all its TLVs.
const V2_BYTES: usize = 4096;

/// The part of a version 2 header that says how long the rest is.
const V2_FIXED: usize = 16;

/// Reads the header off the front of `socket`, and nothing behind it.
///
/// Gives the client's address; `None` where the proxy speaks for itself (`LOCAL`, `UNKNOWN`, Unix sockets).
/// Errors: `InvalidData` for anything that is no such header.
pub async fn read(socket: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut bytes = Vec::with_capacity(V1_BYTES);
    loop {
        // Byte by byte: behind the header stands the client's first byte, which is not ours to take.
        bytes.push(socket.read_u8().await?);
        if is_prefix(&bytes, ppp::v2::PROTOCOL_PREFIX) {
            if bytes.len() == V2_FIXED {
                return read_v2(socket, bytes).await;
            }
        } else if !is_prefix(&bytes, b"PROXY ") || bytes.len() > V1_BYTES {
            return Err(malformed());
        } else if bytes.ends_with(b"\r\n") {
            return client(&bytes);
        }
    }
}

async fn read_v2(
    socket: &mut (impl tokio::io::AsyncRead + Unpin),
    mut bytes: Vec<u8>,
) -> io::Result<Option<SocketAddr>> {
    let rest = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if rest > V2_BYTES {
        return Err(malformed());
    }
    bytes.resize(V2_FIXED + rest, 0);
    socket.read_exact(&mut bytes[V2_FIXED..]).await?;
    client(&bytes)
}

fn client(header: &[u8]) -> io::Result<Option<SocketAddr>> {
    use ppp::v2::Command;
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            ppp::v1::Addresses::Tcp4(a) => Some((IpAddr::V4(a.source_address), a.source_port).into()),
            ppp::v1::Addresses::Tcp6(a) => Some((IpAddr::V6(a.source_address), a.source_port).into()),
            ppp::v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(Ok(header)) => Ok(match (header.command, header.addresses) {
            (Command::Proxy, ppp::v2::Addresses::IPv4(a)) => {
                Some((IpAddr::V4(a.source_address), a.source_port).into())
            }
            (Command::Proxy, ppp::v2::Addresses::IPv6(a)) => {
                Some((IpAddr::V6(a.source_address), a.source_port).into())
            }
            (Command::Proxy | Command::Local, _) => None,
        }),
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Err(malformed()),
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the connection has no sound PROXY protocol header")
}

fn is_prefix(bytes: &[u8], of: &[u8]) -> bool {
    bytes.starts_with(&of[..of.len().min(bytes.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn client_of(bytes: &[u8]) -> (Result<Option<SocketAddr>, io::ErrorKind>, usize) {
        let mut rest = bytes;
        let client = read(&mut rest).await.map_err(|error| error.kind());
        (client, bytes.len() - rest.len())
    }

    #[tokio::test]
    async fn both_versions_name_the_client_and_leave_the_request_alone() {
        let v1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 5555 80\r\nGET / HTTP/1.1\r\n";
        assert_eq!(client_of(v1).await, (Ok(Some(([192, 0, 2, 7], 5555).into())), 40));
        let unknown = b"PROXY UNKNOWN\r\nGET /";
        assert_eq!(client_of(unknown).await, (Ok(None), 15));
        let mut v2 = ppp::v2::PROTOCOL_PREFIX.to_vec();
        v2.extend([0x21, 0x11, 0, 12, 192, 0, 2, 7, 192, 0, 2, 1, 0x15, 0xb3, 0, 80]);
        let header = v2.len();
        v2.extend(b"GET / HTTP/1.1\r\n");
        assert_eq!(client_of(&v2).await, (Ok(Some(([192, 0, 2, 7], 5555).into())), header));
        let mut local = ppp::v2::PROTOCOL_PREFIX.to_vec();
        local.extend([0x20, 0x00, 0, 0]);
        assert_eq!(client_of(&local).await.0, Ok(None));
    }

    #[tokio::test]
    async fn anything_else_is_refused_at_its_first_wrong_byte() {
        assert_eq!(client_of(b"GET / HTTP/1.1\r\n").await, (Err(io::ErrorKind::InvalidData), 1));
        assert_eq!(client_of(b"PROXY TCP4 nonsense\r\n").await.0, Err(io::ErrorKind::InvalidData));
        assert_eq!(client_of(b"PROXY TCP4 1.2").await.0, Err(io::ErrorKind::UnexpectedEof));
    }
}
