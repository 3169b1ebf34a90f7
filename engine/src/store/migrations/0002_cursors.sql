-- How far each reader of the feed has come. One engine at a time reads for a name, until expires_at.

CREATE TABLE cursors (
    name TEXT PRIMARY KEY,
    seq BIGINT NOT NULL,
    owner TEXT NOT NULL,
    expires_at BIGINT NOT NULL
)
