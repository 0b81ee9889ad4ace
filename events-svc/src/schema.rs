//! The tables of the event store (`migrations/`).

diesel::table! {
    events (id) {
        id -> BigInt,
        message_id -> Text,
        event_type -> Text,
        generated -> BigInt,
        scope -> Nullable<Text>,
        user_id -> Nullable<Text>,
        shape -> BigInt,
        v1 -> Text,
        v2 -> Text,
        raw -> Text,
        is_emitted -> Bool,
        xid -> BigInt,
    }
}

diesel::table! {
    trait_index (term, generated, event_id) {
        term -> Binary,
        generated -> BigInt,
        event_id -> BigInt,
    }
}

diesel::table! {
    event_shapes (id, shard) {
        id -> BigInt,
        shard -> SmallInt,
        event_type -> Text,
        name -> Text,
        traits -> Text,
        events -> BigInt,
    }
}

diesel::table! {
    dead_letters (id) {
        id -> BigInt,
        source -> Text,
        reason -> Text,
        body -> Binary,
        received -> BigInt,
        digest -> Binary,
    }
}
