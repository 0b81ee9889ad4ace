//! The gateway's own tables.

diesel::table! {
    /// Who logs in by password.
    users (name) {
        name -> Text,
        password_hash -> Text,
        roles -> Text,
        permissions -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    /// What logs in by token.
    api_tokens (id) {
        id -> Text,
        name -> Text,
        hash -> Text,
        roles -> Text,
        permissions -> Text,
        user_id -> Nullable<Text>,
        project_id -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
    }
}
