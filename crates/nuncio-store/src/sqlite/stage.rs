//! Tables in memory, of the writer's connection alone, in which the rows of a group meet those of the store.
//! They are empty outside of a statement.

/// Their columns have no types: they hold what was bound.
pub(super) const TABLES: &str = "\
CREATE TEMP TABLE submits (id, class, state, recipients, attempts, created_at_us, updated_at_us, \
due_at_us, expires_at_us, message_id, labels, subject, template, trace_parent, mail, caller, \
request_id, fingerprint);
CREATE TEMP TABLE steps (job, fence, was, to_state, reason, results, due_at_us, counted, rescued, \
settings_generation, now_us, ends_mail, started_at_us, ended_at_us, outcome, detail, judged, mailbox, \
recipients);
CREATE TEMP TABLE claimed (id);";

pub(super) const SUBMIT_COLUMNS: usize = 18;
pub(super) const STEP_COLUMNS: usize = 19;

/// What follows when `submits` is filled: requests that are known are told and left out, all others stored.
pub(super) const SUBMIT: &str = "\
SELECT k.caller, k.request_id, k.fingerprint, k.job FROM temp.submits AS s \
CROSS JOIN request_keys AS k ON k.caller = s.caller AND k.request_id = s.request_id;
DELETE FROM temp.submits AS s WHERE EXISTS (SELECT 1 FROM request_keys AS k \
WHERE k.caller = s.caller AND k.request_id = s.request_id);
INSERT INTO mail_jobs (id, class, state, recipients, attempts, created_at_us, updated_at_us, due_at_us, \
expires_at_us, message_id, labels, subject, template, trace_parent) \
SELECT id, class, state, recipients, attempts, created_at_us, updated_at_us, due_at_us, \
expires_at_us, message_id, labels, subject, template, trace_parent FROM temp.submits;
INSERT INTO mail_bodies (job, mail, sealed) SELECT id, '', mail FROM temp.submits;
INSERT INTO request_keys (caller, request_id, fingerprint, job) \
SELECT caller, request_id, fingerprint, id FROM temp.submits WHERE caller IS NOT NULL;
INSERT INTO mail_job_changes (job, state, attempts, updated_at_us, due_at_us) \
SELECT id, state, attempts, updated_at_us, due_at_us FROM temp.submits;
DELETE FROM temp.submits";

/// What goes before the rows of `steps`.
pub(super) const STEPS_OF: &str = "INSERT INTO temp.steps SELECT v.* FROM (";
/// Of the rows, only those stay whose job stands where the step starts.
pub(super) const STEPS_THAT_FIT: &str = ") AS v CROSS JOIN mail_jobs AS j \
ON j.id = v.column1 AND j.fence = v.column2 AND j.state = v.column3;
";

/// What follows when `steps` is filled: the jobs take them.
pub(super) const STEP: &str = concat!(
    "UPDATE mail_jobs SET state = s.to_state, reason = s.reason, results = s.results, \
     attempts = mail_jobs.attempts + s.counted, updated_at_us = s.now_us, due_at_us = s.due_at_us, \
     rescues = mail_jobs.rescues + s.rescued, \
     settings_generation = COALESCE(s.settings_generation, mail_jobs.settings_generation), \
     lease_holder = NULL, lease_until_us = NULL \
     FROM temp.steps AS s WHERE mail_jobs.id = s.job RETURNING ",
    crate::rows::job_columns!(),
    ";
INSERT INTO mail_attempts (job, started_at_us, ended_at_us, outcome, detail, counted, mailbox, recipients) \
SELECT job, started_at_us, ended_at_us, outcome, detail, judged, mailbox, recipients \
FROM temp.steps WHERE started_at_us IS NOT NULL;
INSERT INTO mail_job_changes (job, state, reason, results, attempts, updated_at_us, due_at_us, \
settings_generation) SELECT j.id, j.state, j.reason, j.results, j.attempts, j.updated_at_us, \
j.due_at_us, j.settings_generation FROM temp.steps AS s CROSS JOIN mail_jobs AS j ON j.id = s.job;
DELETE FROM mail_bodies WHERE job IN (SELECT job FROM temp.steps WHERE ends_mail);
DELETE FROM temp.steps"
);

/// What follows when `claimed` is filled. Parameters: `?1` now, `?3` the holder, `?4` until, `?5` whether the
/// bodies go out at once.
pub(super) const CLAIM: &str = concat!(
    "UPDATE mail_jobs SET state = 'SENDING', fence = fence + 1, body_entered = ?5, \
     lease_holder = ?3, lease_until_us = ?4, updated_at_us = ?1 \
     WHERE id IN (SELECT id FROM temp.claimed) RETURNING fence, \
     (SELECT COALESCE(sealed, CAST(mail AS BLOB)) FROM mail_bodies AS b \
     WHERE b.job = mail_jobs.id) AS mail, \
     EXISTS (SELECT 1 FROM mail_attachments AS a WHERE a.job = mail_jobs.id) AS has_attachments, ",
    crate::rows::job_columns!(),
    ";
INSERT INTO mail_job_changes (job, state, reason, results, attempts, updated_at_us, due_at_us, \
settings_generation) SELECT j.id, j.state, j.reason, j.results, j.attempts, j.updated_at_us, \
j.due_at_us, j.settings_generation FROM temp.claimed AS c CROSS JOIN mail_jobs AS j ON j.id = c.id;
DELETE FROM temp.claimed"
);
