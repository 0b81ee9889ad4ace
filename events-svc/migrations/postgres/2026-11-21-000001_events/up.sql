-- One wide row per event, ready to be answered: v1 and v2 hold the two wire forms as text.
-- Keys longer than 200 bytes are cut and hashed (store/key.rs); the texts keep them whole.
CREATE TABLE events (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id TEXT COLLATE "C" NOT NULL UNIQUE,
    event_type TEXT COLLATE "C" NOT NULL,
    generated BIGINT NOT NULL,
    scope TEXT COLLATE "C",
    user_id TEXT COLLATE "C",
    shape BIGINT NOT NULL,
    v1 TEXT NOT NULL,
    v2 TEXT NOT NULL,
    raw TEXT NOT NULL,
    -- Made by another service, not come in from outside: it does not tell the time of a replay.
    is_emitted BOOLEAN NOT NULL DEFAULT false,
    -- Transaction that wrote the row: the feed shows rows in commit order (store/feed.rs).
    xid BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint)
)
-- Usual rows stay whole and uncompressed: reading a page must not inflate every row.
WITH (toast_tuple_target = 4080);
CREATE INDEX events_generated ON events (generated, id);
CREATE INDEX events_type_generated ON events (event_type, generated);
CREATE INDEX events_type_id ON events (event_type, id);
CREATE INDEX events_scope ON events (scope, generated);
CREATE INDEX events_scope_user ON events (scope, user_id, generated);
CREATE INDEX events_feed ON events (xid, id);

-- How far the numbers in events.xid are ahead of the server's: 0, or more in a database that came from a dump
-- (shared::db::continue_order). The default of the column says the same.
CREATE TABLE xid_lead (
    xids BIGINT NOT NULL
);
INSERT INTO xid_lead VALUES (0);

-- One narrow row per trait: name, type and value in one order-keeping term (store/term.rs).
CREATE TABLE trait_index (
    term BYTEA NOT NULL,
    generated BIGINT NOT NULL,
    event_id BIGINT NOT NULL,
    PRIMARY KEY (term, generated, event_id)
);

-- How many events there are of each shape: an event type with its set of trait names and types.
-- Sharded, so that concurrent commits do not wait for each other's counters.
CREATE TABLE event_shapes (
    id BIGINT NOT NULL,
    shard SMALLINT NOT NULL,
    event_type TEXT COLLATE "C" NOT NULL,
    name TEXT NOT NULL,
    traits TEXT NOT NULL,
    events BIGINT NOT NULL,
    PRIMARY KEY (id, shard)
);
CREATE INDEX event_shapes_type ON event_shapes (event_type);

-- Messages that could not be converted or read, kept with the reason until someone replays or drops them.
CREATE TABLE dead_letters (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source TEXT NOT NULL,
    reason TEXT NOT NULL,
    body BYTEA NOT NULL,
    received BIGINT NOT NULL,
    -- Of source and body: a message that is delivered again is the same letter.
    digest BYTEA NOT NULL UNIQUE
);
