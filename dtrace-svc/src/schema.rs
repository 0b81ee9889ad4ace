//! The tables of the DTrace service (`migrations/`).

diesel::table! {
    scripts (uuid) {
        uuid -> Text,
        name -> Text,
        script -> Text,
        config -> Text,
        metadata -> Text,
        revision -> BigInt,
        bytes -> BigInt,
    }
}
