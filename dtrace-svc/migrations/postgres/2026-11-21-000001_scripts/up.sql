-- One row per script. config and metadata are JSON objects as text, ready to be answered.
CREATE TABLE scripts (
    uuid TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    script TEXT NOT NULL,
    config TEXT NOT NULL,
    metadata TEXT NOT NULL,
    -- Counts every change; the ETag is made of it.
    revision BIGINT NOT NULL,
    -- Size of the texts together: a page of a list is cut by it.
    bytes BIGINT NOT NULL
);
CREATE INDEX scripts_name ON scripts (name, uuid, bytes);
