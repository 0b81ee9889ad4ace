DROP TABLE audit_head;
DROP TABLE audit_records;
DROP TABLE applied_settings;
DROP TABLE oauth_tokens;
DROP TABLE scopes;
DROP TABLE redirect_uris;
DROP TABLE memberships;
DROP TABLE grants;
DROP TABLE holders;
CREATE TABLE users (
    name TEXT NOT NULL PRIMARY KEY,
    password_hash TEXT NOT NULL,
    roles TEXT NOT NULL,
    permissions TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
DROP FUNCTION refuse_audit_change;
