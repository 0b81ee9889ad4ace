-- One row per annotation that is not deleted. Times are microseconds since 1970 in UTC; offsets are seconds east.
-- span is the class of its duration (store/span.rs): windows are ranges of start_us inside each class.
CREATE TABLE annotations (
    seq INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    id BLOB NOT NULL UNIQUE,
    span SMALLINT NOT NULL,
    start_us BIGINT NOT NULL,
    end_us BIGINT NOT NULL,
    start_off BIGINT NOT NULL,
    end_off BIGINT NOT NULL,
    message TEXT NOT NULL,
    creation_user TEXT NOT NULL,
    url TEXT NOT NULL,
    source TEXT NOT NULL,
    host TEXT NOT NULL,
    owner TEXT NOT NULL,
    category TEXT NOT NULL,
    tags TEXT NOT NULL,
    version BIGINT NOT NULL,
    -- Number of the commit that wrote this version: changes are shown in commit order (store/changes.rs).
    change BIGINT NOT NULL,
    action TEXT NOT NULL,
    changed_us BIGINT NOT NULL,
    changed_by TEXT NOT NULL
);
CREATE INDEX annotations_time ON annotations (span, start_us, id);
CREATE INDEX annotations_creation_user ON annotations (substr(creation_user, 1, 200), span, start_us, id);
CREATE INDEX annotations_source ON annotations (substr(source, 1, 200), span, start_us, id);
CREATE INDEX annotations_host ON annotations (substr(host, 1, 200), span, start_us, id);
CREATE INDEX annotations_owner ON annotations (substr(owner, 1, 200), span, start_us, id);
CREATE INDEX annotations_category ON annotations (substr(category, 1, 200), span, start_us, id);
CREATE INDEX annotations_url ON annotations (substr(url, 1, 200), span, start_us, id) WHERE url <> '';
CREATE INDEX annotations_change ON annotations (change, id, version);

-- The words of messages, already cut and lower-cased (model/words.rs), by seq.
CREATE VIRTUAL TABLE annotation_words USING fts5 (
    words, content = '', contentless_delete = 1, tokenize = 'ascii'
);

-- Versions that were replaced, and deletions. document is the whole annotation (store/document.rs).
CREATE TABLE annotation_history (
    id BLOB NOT NULL,
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
    value_key TEXT NOT NULL,
    shard SMALLINT NOT NULL,
    value TEXT NOT NULL,
    annotations BIGINT NOT NULL,
    PRIMARY KEY (field, value_key, shard)
) WITHOUT ROWID;

-- Answers of writes that came with an Idempotency-Key.
CREATE TABLE idempotency_keys (
    subject TEXT NOT NULL,
    name TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    created_us BIGINT NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (subject, name)
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_us);

-- The number of the last commit; PostgreSQL numbers its transactions itself.
CREATE TABLE commits (last BIGINT NOT NULL);
INSERT INTO commits VALUES (0);
