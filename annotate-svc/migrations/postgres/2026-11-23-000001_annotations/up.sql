-- One row per annotation that is not deleted. Times are microseconds since 1970 in UTC; offsets are seconds east.
-- span is the class of its duration (store/span.rs): windows are ranges of start_us inside each class.
CREATE TABLE annotations (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE,
    span SMALLINT NOT NULL,
    start_us BIGINT NOT NULL,
    end_us BIGINT NOT NULL,
    start_off BIGINT NOT NULL,
    end_off BIGINT NOT NULL,
    message TEXT NOT NULL,
    creation_user TEXT COLLATE "C" NOT NULL,
    url TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    host TEXT COLLATE "C" NOT NULL,
    owner TEXT COLLATE "C" NOT NULL,
    category TEXT COLLATE "C" NOT NULL,
    tags TEXT NOT NULL,
    words TSVECTOR NOT NULL,
    version BIGINT NOT NULL,
    -- Transaction that wrote this version, plus xid_lead: changes are shown in commit order (store/changes.rs).
    change BIGINT NOT NULL,
    action TEXT NOT NULL,
    changed_us BIGINT NOT NULL,
    changed_by TEXT NOT NULL
);
-- Values are indexed by their beginning: an index entry has a greatest size.
CREATE INDEX annotations_time ON annotations (span, start_us, id);
CREATE INDEX annotations_creation_user ON annotations (substr(creation_user, 1, 200), span, start_us, id);
CREATE INDEX annotations_source ON annotations (substr(source, 1, 200), span, start_us, id);
CREATE INDEX annotations_host ON annotations (substr(host, 1, 200), span, start_us, id);
CREATE INDEX annotations_owner ON annotations (substr(owner, 1, 200), span, start_us, id);
CREATE INDEX annotations_category ON annotations (substr(category, 1, 200), span, start_us, id);
CREATE INDEX annotations_url ON annotations (substr(url, 1, 200), span, start_us, id) WHERE url <> '';
CREATE INDEX annotations_change ON annotations (change, id, version);
CREATE INDEX annotations_words ON annotations USING GIN (words) WITH (fastupdate = off);

-- Versions that were replaced, and deletions. document is the whole annotation (store/document.rs).
CREATE TABLE annotation_history (
    id BYTEA NOT NULL,
    version BIGINT NOT NULL,
    change BIGINT NOT NULL,
    action TEXT NOT NULL,
    changed_us BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (id, version)
);
CREATE INDEX annotation_history_change ON annotation_history (change, id, version);
CREATE INDEX annotation_history_changed ON annotation_history (changed_us);

-- How many annotations have each value. Sharded, so that concurrent commits do not wait for each other's counters.
CREATE TABLE field_values (
    field SMALLINT NOT NULL,
    value_key TEXT COLLATE "C" NOT NULL,
    shard SMALLINT NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    annotations BIGINT NOT NULL,
    PRIMARY KEY (field, value_key, shard)
);

-- Answers of writes that came with an Idempotency-Key.
CREATE TABLE idempotency_keys (
    subject TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    fingerprint BYTEA NOT NULL,
    created_us BIGINT NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (subject, name)
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_us);

-- How far the numbers of changes are ahead of the server's transactions: 0, or more in a database that came from a dump
-- (shared::db::continue_numbers).
CREATE TABLE xid_lead (
    xids BIGINT NOT NULL
);
INSERT INTO xid_lead VALUES (0);
