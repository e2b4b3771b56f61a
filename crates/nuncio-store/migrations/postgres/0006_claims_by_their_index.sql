-- Beside millions of ended jobs the statistics see next to none that wait, and every index of those that wait looks
-- as good as another: claims read all of them by the index for expiry and sorted them. Claims do not say that a job
-- expires after 1970, so this index is none for them.
DROP INDEX mail_jobs_expiring;
-- For expiry.
CREATE INDEX mail_jobs_expiring ON mail_jobs (expires_at_us)
    WHERE state IN ('QUEUED', 'DEFERRED', 'HELD') AND expires_at_us > 0;
