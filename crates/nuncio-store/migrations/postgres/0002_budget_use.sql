-- What each attempt used of a mailbox's budget. No recipients: it certainly did not reach the provider, or was
-- made before this was recorded. No mailbox: its node died.
ALTER TABLE mail_attempts ADD COLUMN mailbox TEXT COLLATE "C", ADD COLUMN recipients BIGINT;

-- For what a node that starts wants to know.
CREATE INDEX mail_attempts_used ON mail_attempts (ended_at_us) WHERE recipients IS NOT NULL;
