//! A client that costs next to nothing: one connection, kept, one request at a time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

pub struct Client(BufReader<TcpStream>);

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::with_capacity(1 << 18, stream))
    }

    /// The body of an answer with status 200; `caller` goes along in a header of that name.
    pub fn get(&mut self, target: &str, caller: &str) -> Vec<u8> {
        let request = format!("GET {target} HTTP/1.1\r\nHost: bench\r\nCaller: {caller}\r\n\r\n");
        self.0.get_ref().write_all(request.as_bytes()).unwrap();
        let (mut line, mut length) = (String::new(), None);
        self.0.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200 "), "{target}: {line}");
        while line != "\r\n" {
            line.clear();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the answer broke off");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = Some(value.trim().parse().unwrap());
            }
        }
        let mut body = Vec::new();
        match length {
            Some(length) => self.take(&mut body, length),
            None => while self.chunk(&mut body) {},
        }
        body
    }

    fn take(&mut self, body: &mut Vec<u8>, length: usize) {
        let start = body.len();
        body.resize(start + length, 0);
        self.0.read_exact(&mut body[start..]).unwrap();
    }

    /// Reads a chunk; `false` for the last.
    fn chunk(&mut self, body: &mut Vec<u8>) -> bool {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let length = usize::from_str_radix(line.trim(), 16).unwrap();
        self.take(body, length);
        self.0.read_line(&mut line).unwrap();
        length > 0
    }
}
