//! Clients that post events over HTTP and cost as little as can be: every request is written out before the clock runs.

use crate::data;
use events_svc::model::{Event, TraitValue};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// Posts events in lists, over so many connections at once; answers how long that took.
pub(crate) fn post(url: &str, events: Range<usize>, list: usize, connections: usize) -> Duration {
    let host = url.trim_start_matches("http://");
    let requests: Vec<Vec<u8>> =
        events.step_by(list).map(|start| request(host, start..start + list)).collect();
    let barrier = Barrier::new(connections + 1);
    let started = std::thread::scope(|scope| {
        for place in 0..connections {
            let (requests, barrier) = (&requests, &barrier);
            scope.spawn(move || {
                let mut stream = BufReader::new(TcpStream::connect(host).unwrap());
                stream.get_ref().set_nodelay(true).unwrap();
                barrier.wait();
                for request in requests.iter().skip(place).step_by(connections) {
                    stream.get_ref().write_all(request).unwrap();
                    let answer = answer(&mut stream);
                    assert_eq!(answer["saved"], list, "{answer}");
                }
            });
        }
        barrier.wait();
        Instant::now()
    });
    started.elapsed()
}

fn request(host: &str, events: Range<usize>) -> Vec<u8> {
    let events: Vec<Value> = events.map(|n| wire(&data::event(n))).collect();
    let body = Value::from(events).to_string();
    let head = "POST /v2/events HTTP/1.1\r\nContent-Type: application/json";
    format!("{head}\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn answer(stream: &mut BufReader<TcpStream>) -> Value {
    let (mut line, mut length) = (String::new(), 0);
    stream.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 202 "), "{line}");
    while line != "\r\n" {
        line.clear();
        assert_ne!(stream.read_line(&mut line).unwrap(), 0, "the answer broke off");
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    serde_json::from_slice(&body).unwrap()
}

/// An event as ceilometer's HTTP publisher writes it.
pub(crate) fn wire(event: &Event) -> Value {
    let time = |instant: &chrono::NaiveDateTime| instant.format("%Y-%m-%dT%H:%M:%S%.f").to_string();
    let traits = event.traits.iter().map(|property| match &property.value {
        TraitValue::Text(text) => json!([property.name, 1, text]),
        TraitValue::Integer(number) => json!([property.name, 2, number]),
        TraitValue::Float(number) => json!([property.name, 3, number]),
        TraitValue::Datetime(instant) => json!([property.name, 4, time(instant)]),
    });
    json!({
        "message_id": event.message_id, "event_type": event.event_type, "generated": time(&event.generated),
        "traits": traits.collect::<Vec<_>>(), "raw": {},
    })
}
