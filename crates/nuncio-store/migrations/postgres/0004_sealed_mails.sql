-- Mails are sealed. Where `sealed` is not NULL it holds the mail, and `mail` is empty; what older versions have
-- stored stays as it is until its job ends.
ALTER TABLE mail_bodies ADD COLUMN sealed BYTEA;
-- What is sealed cannot be compressed.
ALTER TABLE mail_bodies ALTER sealed SET STORAGE EXTERNAL;
-- Whether `content` is sealed.
ALTER TABLE mail_attachments ADD COLUMN sealed BOOLEAN NOT NULL DEFAULT FALSE;

-- The keys that have sealed mails, each with something that it has sealed, to tell that it is the same key.
CREATE TABLE mail_keys (
    key_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    proof BYTEA NOT NULL
);
