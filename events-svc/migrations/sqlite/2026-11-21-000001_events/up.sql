-- One wide row per event, ready to be answered: v1 and v2 hold the two wire forms as text.
-- Keys longer than 200 bytes are cut and hashed (store/key.rs); the texts keep them whole.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    message_id TEXT NOT NULL UNIQUE,
    event_type TEXT NOT NULL,
    generated BIGINT NOT NULL,
    scope TEXT,
    user_id TEXT,
    shape BIGINT NOT NULL,
    v1 TEXT NOT NULL,
    v2 TEXT NOT NULL,
    raw TEXT NOT NULL,
    -- Made by another service, not come in from outside: it does not tell the time of a replay.
    is_emitted BOOLEAN NOT NULL DEFAULT false,
    -- Always 0 here: one writer at a time, so ids are in commit order. PostgreSQL needs it (store/feed.rs).
    xid BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX events_generated ON events (generated);
CREATE INDEX events_type_generated ON events (event_type, generated);
CREATE INDEX events_type_id ON events (event_type);
CREATE INDEX events_scope ON events (scope, generated);
CREATE INDEX events_scope_user ON events (scope, user_id, generated);

-- One narrow row per trait: name, type and value in one order-keeping term (store/term.rs).
CREATE TABLE trait_index (
    term BLOB NOT NULL,
    generated BIGINT NOT NULL,
    event_id BIGINT NOT NULL,
    PRIMARY KEY (term, generated, event_id)
) WITHOUT ROWID;

-- How many events there are of each shape: an event type with its set of trait names and types.
-- Sharded, so that concurrent commits do not wait for each other's counters.
CREATE TABLE event_shapes (
    id BIGINT NOT NULL,
    shard SMALLINT NOT NULL,
    event_type TEXT NOT NULL,
    name TEXT NOT NULL,
    traits TEXT NOT NULL,
    events BIGINT NOT NULL,
    PRIMARY KEY (id, shard)
) WITHOUT ROWID;
CREATE INDEX event_shapes_type ON event_shapes (event_type);

-- Messages that could not be converted or read, kept with the reason until someone replays or drops them.
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    source TEXT NOT NULL,
    reason TEXT NOT NULL,
    body BLOB NOT NULL,
    received BIGINT NOT NULL,
    -- Of source and body: a message that is delivered again is the same letter.
    digest BLOB NOT NULL UNIQUE
);
