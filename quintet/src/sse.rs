//! Server-sent events, as far as this product's services send them.

use anyhow::ensure;

/// One event.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ServerEvent {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) data: Option<String>,
}

impl ServerEvent {
    fn of(text: &str) -> Self {
        let mut event = Self::default();
        for line in text.lines() {
            let Some((field, value)) = line.split_once(':') else { continue };
            let value = Some(value.trim().to_owned());
            match field {
                "id" => event.id = value,
                "event" => event.name = value,
                "data" => event.data = value,
                // A comment, or a field that says nothing here.
                _ => {}
            }
        }
        event
    }
}

/// Events out of the bytes of an answer.
pub(crate) struct Events {
    waiting: Vec<u8>,
    most: usize,
}

impl Events {
    /// For events of at most so many bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self { waiting: Vec::new(), most }
    }

    /// The events that are whole with these bytes.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> anyhow::Result<Vec<ServerEvent>> {
        let mut events = Vec::new();
        // What has waited holds no end, but may hold its first half.
        let mut known = self.waiting.len().saturating_sub(1);
        self.waiting.extend_from_slice(bytes);
        while let Some(end) = self.waiting.get(known..).and_then(end_of_event) {
            let rest = self.waiting.split_off(known + end + 2);
            events.push(ServerEvent::of(&String::from_utf8_lossy(&self.waiting)));
            (self.waiting, known) = (rest, 0);
        }
        ensure!(self.waiting.len() <= self.most, "an event is larger than {} bytes", self.most);
        Ok(events)
    }
}

fn end_of_event(text: &[u8]) -> Option<usize> {
    text.windows(2).position(|pair| pair == b"\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: Option<&str>, name: Option<&str>, data: Option<&str>) -> ServerEvent {
        let own = |text: Option<&str>| text.map(str::to_owned);
        ServerEvent { id: own(id), name: own(name), data: own(data) }
    }

    #[test]
    fn events_are_whole_however_they_are_cut() {
        let text =
            ": quiet\n\nevent: config\ndata: {}\n\nid: 1-2\nevent: tick\ndata: {\"0-3\": 1}\n\nevent: en";
        for size in 1..text.len() {
            let mut events = Events::new(100);
            let found: Vec<_> =
                text.as_bytes().chunks(size).flat_map(|piece| events.take(piece).unwrap()).collect();
            let expected = [
                ServerEvent::default(),
                event(None, Some("config"), Some("{}")),
                event(Some("1-2"), Some("tick"), Some("{\"0-3\": 1}")),
            ];
            assert_eq!(found, expected, "{size}");
            assert_eq!(events.waiting, b"event: en");
        }
    }

    #[test]
    fn an_event_without_an_end_is_not_waited_for() {
        let mut events = Events::new(10);
        assert!(events.take(b"data: 7890").unwrap().is_empty());
        assert_eq!(events.take(b"1").unwrap_err().to_string(), "an event is larger than 10 bytes");
    }
}
