-- The machines of the cluster.
CREATE TABLE nodes (
    name TEXT PRIMARY KEY,
    body TEXT NOT NULL
)
