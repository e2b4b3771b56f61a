-- What roles know beside mail jobs: guests, users, reminders, alarms and the like. The content is JSON in a
-- shape of its kind.
CREATE TABLE records (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    owner TEXT,
    due_at_us INTEGER,
    updated_at_us INTEGER NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;

CREATE INDEX records_owned ON records (kind, owner, id) WHERE owner IS NOT NULL;
-- For whoever looks at what is due: as long as the records that have a due time.
CREATE INDEX records_due ON records (kind, due_at_us, id) WHERE due_at_us IS NOT NULL;
