//! The gateway's own tables.

diesel::table! {
    /// Users, clients and roles: whoever holds permissions.
    holders (id) {
        id -> Text,
        kind -> Text,
        name -> Text,
        secret_hash -> Nullable<Text>,
        user_id -> Nullable<Text>,
        project_id -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::table! {
    /// What a holder may do.
    grants (holder, pattern) {
        holder -> Text,
        pattern -> Text,
    }
}

diesel::table! {
    /// Which roles a holder has.
    memberships (holder, role) {
        holder -> Text,
        role -> Text,
    }
}

diesel::table! {
    /// Where a client's users may be sent back to.
    redirect_uris (id) {
        id -> Text,
        client -> Text,
        uri -> Text,
    }
}

diesel::table! {
    /// What a token may be limited to.
    scopes (name) {
        name -> Text,
        description -> Text,
        is_default -> Bool,
        permissions -> Text,
    }
}

diesel::table! {
    /// What logs in by OAuth 2: access and refresh tokens, codes, one-time tokens.
    oauth_tokens (hash) {
        hash -> Text,
        kind -> Text,
        family -> Text,
        owner -> Text,
        client -> Nullable<Text>,
        scope -> Nullable<Text>,
        redirect_uri -> Nullable<Text>,
        challenge -> Nullable<Text>,
        parent -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> BigInt,
        used_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    /// What logs in by a token that an administrator made.
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

diesel::table! {
    /// Who did what.
    audit_records (seq) {
        seq -> BigInt,
        at -> BigInt,
        actor -> Text,
        address -> Text,
        action -> Text,
        target -> Text,
        detail -> Text,
        hash -> Text,
    }
}

diesel::table! {
    /// The end of the log.
    audit_head (id) {
        id -> SmallInt,
        seq -> BigInt,
        hash -> Text,
    }
}

diesel::table! {
    /// Secrets of the settings that have been taken over.
    applied_settings (name) {
        name -> Text,
        hash -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(holders, grants, memberships);
