-- Mails are sealed. Where `sealed` is not NULL it holds the mail, and `mail` is empty; what older versions have
-- stored stays as it is until its job ends.
ALTER TABLE mail_bodies ADD COLUMN sealed BLOB;
-- Whether `content` is sealed.
ALTER TABLE mail_attachments ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0;

-- The keys that have sealed mails, each with something that it has sealed, to tell that it is the same key.
CREATE TABLE mail_keys (
    key_id TEXT NOT NULL PRIMARY KEY,
    proof BLOB NOT NULL
) STRICT;
