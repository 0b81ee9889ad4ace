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

diesel::table! {
    runs (id) {
        id -> Text,
        script -> Text,
        name -> Text,
        subject -> Text,
        config -> Text,
        program -> Text,
        started -> BigInt,
        alive -> BigInt,
        ended -> Nullable<BigInt>,
        outcome -> Nullable<Text>,
        messages -> Nullable<BigInt>,
        summary -> Nullable<Text>,
    }
}

diesel::table! {
    run_messages (run, number) {
        run -> Text,
        number -> BigInt,
        at -> BigInt,
        event -> Text,
        body -> Text,
    }
}
