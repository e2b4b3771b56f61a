-- Mail jobs and all that belongs to them. Times are microseconds since 1970-01-01 UTC; ids are UUIDs of
-- version 7 in 16 bytes; names of states and classes are those of the API; the JSON has the shapes of
-- `src/rows.rs`.

-- One small row for each job. Its mail lies elsewhere, so that claims and lists read little.
CREATE TABLE mail_jobs (
    id BLOB NOT NULL PRIMARY KEY,
    class TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    recipients TEXT NOT NULL,
    -- What became of the recipients, in their order; NULL while all are pending.
    results TEXT,
    attempts INTEGER NOT NULL,
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    due_at_us INTEGER NOT NULL,
    expires_at_us INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    labels TEXT NOT NULL,
    subject TEXT NOT NULL,
    template TEXT,
    settings_generation INTEGER,
    trace_parent TEXT,
    -- The lease: whoever names another fence has lost it.
    fence INTEGER NOT NULL DEFAULT 0,
    lease_holder TEXT,
    lease_until_us INTEGER,
    body_entered INTEGER NOT NULL DEFAULT 0,
    rescues INTEGER NOT NULL DEFAULT 0
) STRICT;

-- For claims and the next due time.
CREATE INDEX mail_jobs_waiting ON mail_jobs (class, due_at_us, id)
    WHERE state IN ('QUEUED', 'DEFERRED', 'HELD');
-- For expiry.
CREATE INDEX mail_jobs_expiring ON mail_jobs (expires_at_us)
    WHERE state IN ('QUEUED', 'DEFERRED', 'HELD');
-- For the release.
CREATE INDEX mail_jobs_held ON mail_jobs (due_at_us) WHERE state = 'HELD';
-- For rescue.
CREATE INDEX mail_jobs_leased ON mail_jobs (lease_until_us) WHERE state = 'SENDING';
-- For pruning.
CREATE INDEX mail_jobs_ended ON mail_jobs (updated_at_us)
    WHERE state IN ('SENT', 'FAILED', 'EXPIRED', 'CANCELLED', 'UNKNOWN');

-- The mail of each job that has not ended.
CREATE TABLE mail_bodies (
    job BLOB NOT NULL PRIMARY KEY REFERENCES mail_jobs (id) ON DELETE CASCADE,
    mail TEXT NOT NULL
) STRICT;

CREATE TABLE mail_attachments (
    job BLOB NOT NULL REFERENCES mail_bodies (job) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    file_name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (job, place)
) STRICT;

CREATE TABLE mail_attempts (
    seq INTEGER PRIMARY KEY,
    job BLOB NOT NULL REFERENCES mail_jobs (id) ON DELETE CASCADE,
    started_at_us INTEGER NOT NULL,
    ended_at_us INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    counted INTEGER NOT NULL
) STRICT;

CREATE INDEX mail_attempts_of_job ON mail_attempts (job, seq);

CREATE TABLE request_keys (
    caller TEXT NOT NULL,
    request_id TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    job BLOB NOT NULL REFERENCES mail_jobs (id) ON DELETE CASCADE,
    PRIMARY KEY (caller, request_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX request_keys_of_job ON request_keys (job);

-- What changes about a job, each time it changes. AUTOINCREMENT: no place is ever used twice, even if the
-- newest changes are removed.
CREATE TABLE mail_job_changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    job BLOB NOT NULL REFERENCES mail_jobs (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    reason TEXT,
    results TEXT,
    attempts INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    due_at_us INTEGER NOT NULL,
    settings_generation INTEGER
) STRICT;

CREATE INDEX mail_job_changes_of_job ON mail_job_changes (job, seq);
