-- How many commits each writer of each node has made: so a writer whose connection broke at a commit learns
-- whether it was done. Those of nodes that are gone are removed when a node starts.
CREATE TABLE mail_job_writers (
    writer TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    commits BIGINT NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
