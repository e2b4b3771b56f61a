-- Mail jobs and all that belongs to them. Times are microseconds since 1970-01-01 UTC; ids are UUIDs of
-- version 7 in 16 bytes; names of states and classes are those of the API; the JSON has the shapes of
-- `src/rows.rs`. Text that is compared has the collation "C": its indexes outlive a change of the system's.
--
-- No foreign keys: the store writes and removes what belongs together in one transaction, and their checks
-- would cost a lock and a lookup for each row.

-- One small row for each job. Its mail lies elsewhere, so that claims and lists read little. Rows change
-- about five times: room for that in their pages, and a vacuum that comes early.
CREATE TABLE mail_jobs (
    id BYTEA NOT NULL PRIMARY KEY,
    class TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    reason TEXT,
    recipients TEXT NOT NULL,
    -- What became of the recipients, in their order; NULL while all are pending.
    results TEXT,
    attempts BIGINT NOT NULL,
    created_at_us BIGINT NOT NULL,
    updated_at_us BIGINT NOT NULL,
    due_at_us BIGINT NOT NULL,
    expires_at_us BIGINT NOT NULL,
    message_id TEXT NOT NULL,
    labels TEXT NOT NULL,
    subject TEXT NOT NULL,
    template TEXT,
    settings_generation BIGINT,
    trace_parent TEXT,
    -- The lease: whoever names another fence has lost it.
    fence BIGINT NOT NULL DEFAULT 0,
    lease_holder TEXT,
    lease_until_us BIGINT,
    body_entered BOOLEAN NOT NULL DEFAULT FALSE,
    rescues BIGINT NOT NULL DEFAULT 0
) WITH (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.02
);

-- For claims and the next due time.
CREATE INDEX mail_jobs_waiting ON mail_jobs (class, due_at_us, id)
    WHERE state IN ('QUEUED', 'DEFERRED', 'HELD');
-- For expiry.
CREATE INDEX mail_jobs_expiring ON mail_jobs (expires_at_us)
    WHERE state IN ('QUEUED', 'DEFERRED', 'HELD');
-- For the mails of jobs that nobody can have sent again any more.
CREATE INDEX mail_jobs_unknown ON mail_jobs (expires_at_us) WHERE state = 'UNKNOWN';
-- For the release.
CREATE INDEX mail_jobs_held ON mail_jobs (due_at_us) WHERE state = 'HELD';
-- For rescue. Not by the end of the lease, so that keeping a lease alive touches no index.
CREATE INDEX mail_jobs_leased ON mail_jobs (id) WHERE state = 'SENDING';
-- For pruning.
CREATE INDEX mail_jobs_ended ON mail_jobs (updated_at_us)
    WHERE state IN ('SENT', 'FAILED', 'EXPIRED', 'CANCELLED', 'UNKNOWN');

-- The mail of each job that has not ended.
CREATE TABLE mail_bodies (
    job BYTEA NOT NULL PRIMARY KEY,
    mail TEXT NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE mail_attachments (
    job BYTEA NOT NULL,
    place BIGINT NOT NULL,
    file_name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (job, place)
) WITH (autovacuum_vacuum_scale_factor = 0.02);

-- Mostly compressed already.
ALTER TABLE mail_attachments ALTER content SET STORAGE EXTERNAL;

CREATE TABLE mail_attempts (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job BYTEA NOT NULL,
    started_at_us BIGINT NOT NULL,
    ended_at_us BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    counted BOOLEAN NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX mail_attempts_of_job ON mail_attempts (job, seq);

CREATE TABLE request_keys (
    caller TEXT COLLATE "C" NOT NULL,
    request_id TEXT COLLATE "C" NOT NULL,
    fingerprint BYTEA NOT NULL,
    job BYTEA NOT NULL,
    PRIMARY KEY (caller, request_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX request_keys_of_job ON request_keys (job);

-- What changes about a job, each time it changes.
CREATE TABLE mail_job_changes (
    seq BIGINT NOT NULL PRIMARY KEY,
    job BYTEA NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    reason TEXT,
    results TEXT,
    attempts BIGINT NOT NULL,
    updated_at_us BIGINT NOT NULL,
    due_at_us BIGINT NOT NULL,
    settings_generation BIGINT
) WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX mail_job_changes_of_job ON mail_job_changes (job, seq);

-- One row. Every transaction that changes a job takes it last and holds it until its commit, so that changes
-- become visible in the order of their places: a sequence would let a reader see place 5 before place 4.
CREATE TABLE mail_job_counter (
    one BOOLEAN NOT NULL PRIMARY KEY DEFAULT TRUE CHECK (one),
    -- The place of the last change.
    last_seq BIGINT NOT NULL,
    -- How many commits gave a reason to look at the store.
    wakes BIGINT NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000);

INSERT INTO mail_job_counter (last_seq, wakes) VALUES (0, 0);
