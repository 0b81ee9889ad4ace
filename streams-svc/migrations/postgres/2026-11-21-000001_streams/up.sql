-- All times are microseconds since 1970, UTC.
CREATE SEQUENCE stream_ids;
CREATE TABLE streams (
    id BIGINT PRIMARY KEY,
    -- Of trigger and distinguishing values; set while events may join, so that there is exactly one such stream.
    active_key BYTEA UNIQUE,
    trigger_name TEXT COLLATE "C" NOT NULL,
    distinguishing TEXT NOT NULL,
    state BIGINT NOT NULL,
    serial BIGINT NOT NULL,
    first_event BIGINT NOT NULL,
    last_event BIGINT NOT NULL,
    expire_timestamp BIGINT NOT NULL,
    fire_timestamp BIGINT,
    fire_counts TEXT NOT NULL,
    -- While a worker has the stream.
    lease_until BIGINT,
    -- Of its pipeline, in a row.
    failures BIGINT NOT NULL DEFAULT 0,
    -- When to try again, in place of fire_timestamp or expire_timestamp.
    retry_at BIGINT
);
-- What waits for a worker, by trigger (store/work.rs).
CREATE INDEX streams_fire ON streams (trigger_name, coalesce(retry_at, fire_timestamp), id)
    WHERE state IN (1, 7) AND fire_timestamp IS NOT NULL;
CREATE INDEX streams_expire ON streams (trigger_name, coalesce(retry_at, expire_timestamp), id)
    WHERE (state = 8 OR (state = 1 AND (fire_timestamp IS NULL OR fire_timestamp > expire_timestamp)));
CREATE INDEX streams_lease ON streams (lease_until) WHERE state IN (2, 3);
CREATE INDEX streams_trigger ON streams (trigger_name, id);
CREATE INDEX streams_state ON streams (state, id);

-- The events of streams, each with its whole text: a pipeline and an answer with details ask nobody else.
CREATE TABLE members (
    stream_id BIGINT NOT NULL,
    event_id BIGINT NOT NULL,
    timestamp BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (stream_id, event_id)
);
CREATE INDEX members_timestamp ON members (timestamp);

-- Distinguishing values as terms of 16 bytes (store/term.rs).
CREATE TABLE stream_traits (
    term BYTEA NOT NULL,
    stream_id BIGINT NOT NULL,
    PRIMARY KEY (term, stream_id)
);
CREATE INDEX stream_traits_stream ON stream_traits (stream_id);

-- How far each partition has followed the feed, and who follows it.
CREATE TABLE cursors (
    partition BIGINT PRIMARY KEY,
    cursor TEXT NOT NULL,
    holder TEXT,
    -- In a replay, the time that it is at the cursor.
    present BIGINT
);
CREATE TABLE holders (
    holder TEXT PRIMARY KEY,
    seen BIGINT NOT NULL
);

-- What the last reload has put in force, in one row; and the processes that are alive, with what each runs by.
CREATE TABLE definitions (
    id BIGINT PRIMARY KEY,
    generation BIGINT NOT NULL,
    digest TEXT NOT NULL
);
CREATE TABLE replicas (
    name TEXT PRIMARY KEY,
    seen BIGINT NOT NULL,
    digest TEXT NOT NULL,
    trouble TEXT
);

-- New events of finished pipelines, until the event service has them.
CREATE TABLE outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    body TEXT NOT NULL
);

-- What became of streams; it outlives them. A state of NULL: deleted by a user.
CREATE TABLE history (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream_id BIGINT NOT NULL,
    trigger_name TEXT NOT NULL,
    serial BIGINT NOT NULL,
    at BIGINT NOT NULL,
    state BIGINT,
    reason TEXT,
    -- Transaction that wrote the row: the tail shows rows in commit order.
    xid BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint)
);
CREATE INDEX history_stream ON history (stream_id, id);
CREATE INDEX history_tail ON history (xid, id);
CREATE INDEX history_at ON history (at);

-- How far the numbers in history.xid are ahead of the server's: 0, or more in a database that came from a dump
-- (shared::db::continue_order). The default of the column says the same.
CREATE TABLE xid_lead (
    xids BIGINT NOT NULL
);
INSERT INTO xid_lead VALUES (0);
