-- For the removal of the mails of UNKNOWN jobs: they are kept until the job's time to live is over.
CREATE INDEX mail_jobs_unknown ON mail_jobs (expires_at_us) WHERE state = 'UNKNOWN';
