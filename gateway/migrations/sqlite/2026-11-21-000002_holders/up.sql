-- Users, clients and roles: whoever holds permissions. The table before this one held the user of the settings alone,
-- who is made again at every start.
DROP TABLE users;

CREATE TABLE holders (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    -- argon2id; roles and public clients have none
    secret_hash TEXT,
    user_id TEXT,
    project_id TEXT,
    created_at BIGINT NOT NULL,
    UNIQUE (kind, name)
);

CREATE TABLE grants (
    holder TEXT NOT NULL REFERENCES holders (id) ON DELETE CASCADE,
    pattern TEXT NOT NULL,
    PRIMARY KEY (holder, pattern)
);

CREATE TABLE memberships (
    holder TEXT NOT NULL REFERENCES holders (id) ON DELETE CASCADE,
    role TEXT NOT NULL REFERENCES holders (id) ON DELETE CASCADE,
    PRIMARY KEY (holder, role)
);
CREATE INDEX memberships_role ON memberships (role);

-- Where a client's users may be sent back to.
CREATE TABLE redirect_uris (
    id TEXT NOT NULL PRIMARY KEY,
    client TEXT NOT NULL REFERENCES holders (id) ON DELETE CASCADE,
    uri TEXT NOT NULL,
    UNIQUE (client, uri)
);

-- What a token may be limited to; permissions are a JSON list.
CREATE TABLE scopes (
    name TEXT NOT NULL PRIMARY KEY,
    description TEXT NOT NULL,
    is_default BOOLEAN NOT NULL,
    permissions TEXT NOT NULL
);

-- Access tokens, refresh tokens, authorization codes and one-time tokens, each as its SHA-256. All that came from one
-- login are one family: when a code or refresh token is used twice, the whole family ends.
CREATE TABLE oauth_tokens (
    hash TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    family TEXT NOT NULL,
    owner TEXT NOT NULL REFERENCES holders (id) ON DELETE CASCADE,
    client TEXT REFERENCES holders (id) ON DELETE CASCADE,
    -- names with spaces between; null: not limited
    scope TEXT,
    redirect_uri TEXT,
    challenge TEXT,
    -- of a one-time token made with an access token: that one's hash; it must still be good
    parent TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX oauth_tokens_owner ON oauth_tokens (owner);
CREATE INDEX oauth_tokens_client ON oauth_tokens (client);
CREATE INDEX oauth_tokens_family ON oauth_tokens (family);
CREATE INDEX oauth_tokens_expires_at ON oauth_tokens (expires_at);

-- Who did what; each record's hash covers the hash of the one before it.
CREATE TABLE audit_records (
    seq BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    address TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL,
    hash TEXT NOT NULL
);

-- The last record; writers wait for each other here.
CREATE TABLE audit_head (
    id SMALLINT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '');

-- Which secret of the settings was last taken over, as argon2id: a later change by hand then outlives a restart.
CREATE TABLE applied_settings (
    name TEXT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL
);

INSERT INTO scopes (name, description, is_default, permissions) VALUES
    ('*', 'Everything that the user may do.', TRUE, '["..."]');

INSERT INTO holders (id, kind, name, created_at) VALUES
    ('5f0c1a52-6b1e-4f0a-8f3c-000000000001', 'role', 'admin', 0),
    ('5f0c1a52-6b1e-4f0a-8f3c-000000000002', 'role', 'operator', 0),
    ('5f0c1a52-6b1e-4f0a-8f3c-000000000003', 'role', 'reader', 0),
    ('5f0c1a52-6b1e-4f0a-8f3c-000000000004', 'client', 'snap', 0);

INSERT INTO grants (holder, pattern) VALUES ('5f0c1a52-6b1e-4f0a-8f3c-000000000001', '...');

-- The operator: all five APIs, the servers and machines that scripts run on, and the figures.
INSERT INTO grants (holder, pattern)
SELECT '5f0c1a52-6b1e-4f0a-8f3c-000000000002', prefix || word || '->...'
FROM (SELECT 'cloud->' AS prefix UNION ALL SELECT '') AS prefixes, (
    SELECT 'events' AS word UNION ALL SELECT 'event_types' UNION ALL SELECT 'capabilities' UNION ALL SELECT 'streams'
    UNION ALL SELECT 'plugins' UNION ALL SELECT 'metrics' UNION ALL SELECT 'tasks' UNION ALL SELECT 'agreements'
    UNION ALL SELECT 'members' UNION ALL SELECT 'tribe' UNION ALL SELECT 'dtrace' UNION ALL SELECT 'annotations'
    UNION ALL SELECT 'hypervisors' UNION ALL SELECT 'vms'
) AS words;
INSERT INTO grants (holder, pattern) VALUES ('5f0c1a52-6b1e-4f0a-8f3c-000000000002', 'cloud->gateway->metrics');

-- The reader: every list and every thing of the five APIs, and no change.
INSERT INTO grants (holder, pattern)
SELECT '5f0c1a52-6b1e-4f0a-8f3c-000000000003', CASE side WHEN 'list' THEN 'cloud->' || word || '->list' ELSE word || '->_->get' END
FROM (SELECT 'list' AS side UNION ALL SELECT 'get') AS sides, (
    SELECT 'events' AS word UNION ALL SELECT 'event_types' UNION ALL SELECT 'streams' UNION ALL SELECT 'plugins'
    UNION ALL SELECT 'metrics' UNION ALL SELECT 'tasks' UNION ALL SELECT 'agreements' UNION ALL SELECT 'members'
    UNION ALL SELECT 'dtrace' UNION ALL SELECT 'annotations'
) AS words;
-- A recorded run is shown to whoever may see the servers and machines that it ran on.
INSERT INTO grants (holder, pattern) VALUES
    ('5f0c1a52-6b1e-4f0a-8f3c-000000000003', 'hypervisors->_->get'),
    ('5f0c1a52-6b1e-4f0a-8f3c-000000000003', 'vms->_->get');

-- What Snap's password opens: the plugins, tasks and tribe of its API, nothing else.
INSERT INTO grants (holder, pattern)
SELECT '5f0c1a52-6b1e-4f0a-8f3c-000000000004', prefix || word || '->...'
FROM (SELECT 'cloud->' AS prefix UNION ALL SELECT '') AS prefixes, (
    SELECT 'plugins' AS word UNION ALL SELECT 'metrics' UNION ALL SELECT 'tasks' UNION ALL SELECT 'agreements'
    UNION ALL SELECT 'members' UNION ALL SELECT 'tribe'
) AS words;

-- The log grows and never changes.
CREATE TRIGGER audit_records_stay_as_they_are BEFORE UPDATE ON audit_records
BEGIN SELECT RAISE(ABORT, 'audit records cannot be changed'); END;
CREATE TRIGGER audit_records_stay BEFORE DELETE ON audit_records
BEGIN SELECT RAISE(ABORT, 'audit records cannot be removed'); END;
