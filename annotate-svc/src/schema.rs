//! The table that rows are inserted into one by one (`migrations/`). PostgreSQL has a column `words` besides.

diesel::table! {
    annotations (seq) {
        seq -> BigInt,
        id -> Binary,
        span -> BigInt,
        start_us -> BigInt,
        end_us -> BigInt,
        start_off -> BigInt,
        end_off -> BigInt,
        message -> Text,
        creation_user -> Text,
        url -> Text,
        source -> Text,
        host -> Text,
        owner -> Text,
        category -> Text,
        tags -> Text,
        version -> BigInt,
        change -> BigInt,
        action -> Text,
        changed_us -> BigInt,
        changed_by -> Text,
    }
}
