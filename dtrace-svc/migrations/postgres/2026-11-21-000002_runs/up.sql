-- The audit log: one row per run, written before anything is started. It outlives the script.
CREATE TABLE runs (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    script TEXT COLLATE "C" NOT NULL,
    name TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- Servers, virtual machines and merged configuration, as JSON.
    config TEXT NOT NULL,
    -- The text as it was handed to the tracers.
    program TEXT NOT NULL,
    -- Microseconds since 1970.
    started BIGINT NOT NULL,
    -- When its service last said that it goes on, by the database's clock; a run that was left behind is told by it.
    alive BIGINT NOT NULL,
    ended BIGINT,
    outcome TEXT,
    -- What was kept of it; NULL when nothing was.
    messages BIGINT,
    summary TEXT
);
CREATE INDEX runs_script ON runs (script, started, id);
CREATE INDEX runs_started ON runs (started, id);
CREATE INDEX runs_open ON runs (alive) WHERE ended IS NULL;

-- Messages of runs that were recorded.
CREATE TABLE run_messages (
    run TEXT COLLATE "C" NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    -- Microseconds since the recording began.
    at BIGINT NOT NULL,
    event TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (run, number)
);
