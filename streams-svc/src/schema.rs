//! The tables of the stream store (`migrations/`) that are written row by row on SQLite.

diesel::table! {
    streams (id) {
        id -> BigInt,
        active_key -> Nullable<Binary>,
        trigger_name -> Text,
        distinguishing -> Text,
        state -> BigInt,
        serial -> BigInt,
        first_event -> BigInt,
        last_event -> BigInt,
        expire_timestamp -> BigInt,
        fire_timestamp -> Nullable<BigInt>,
        fire_counts -> Text,
    }
}

diesel::table! {
    members (stream_id, event_id) {
        stream_id -> BigInt,
        event_id -> BigInt,
        timestamp -> BigInt,
        body -> Text,
    }
}

diesel::table! {
    stream_traits (term, stream_id) {
        term -> Binary,
        stream_id -> BigInt,
    }
}

diesel::table! {
    history (id) {
        id -> BigInt,
        stream_id -> BigInt,
        trigger_name -> Text,
        serial -> BigInt,
        at -> BigInt,
        state -> Nullable<BigInt>,
        reason -> Nullable<Text>,
    }
}
