-- One text for SQLite and PostgreSQL. A row is a few indexed columns and the model as JSON.

CREATE TABLE batches (
    id TEXT PRIMARY KEY,
    created_at BIGINT NOT NULL
);

CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    state TEXT NOT NULL,
    is_open BIGINT NOT NULL,
    batch TEXT REFERENCES batches (id),
    output_path TEXT NOT NULL,
    retry_at BIGINT,
    created_at BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_age ON jobs (created_at);
CREATE UNIQUE INDEX jobs_by_open_output ON jobs (output_path) WHERE is_open = 1;

CREATE TABLE plans (
    job TEXT PRIMARY KEY REFERENCES jobs (id),
    hash TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    body TEXT NOT NULL
);

-- position: a chunk's index, or -1 for the sound. sha256 is there once the item is accepted.
CREATE TABLE ledger (
    job TEXT NOT NULL REFERENCES jobs (id),
    position BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    suspect BIGINT NOT NULL,
    kills BIGINT NOT NULL,
    epoch BIGINT,
    worker_rank BIGINT,
    object TEXT,
    sha256 TEXT,
    report TEXT,
    PRIMARY KEY (job, position)
);

-- A row here is the right to work on a job. Every write of a launch names its epoch and owner.
CREATE TABLE leases (
    job TEXT PRIMARY KEY REFERENCES jobs (id),
    epoch BIGINT NOT NULL,
    owner TEXT NOT NULL,
    place TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- What is about to get its name, so that a publication cut short is recognised.
CREATE TABLE publications (
    job TEXT PRIMARY KEY REFERENCES jobs (id),
    epoch BIGINT NOT NULL,
    body TEXT NOT NULL
);

CREATE TABLE feed (
    seq BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    job TEXT REFERENCES jobs (id),
    body TEXT NOT NULL
);
CREATE INDEX feed_by_job ON feed (job, seq)
