-- What roles know beside mail jobs: guests, users, reminders, alarms and the like. The content is JSON in a
-- shape of its kind.
CREATE TABLE records (
    kind TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    owner TEXT COLLATE "C",
    due_at_us BIGINT,
    updated_at_us BIGINT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) WITH (
    fillfactor = 85,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.02
);

CREATE INDEX records_owned ON records (kind, owner, id) WHERE owner IS NOT NULL;
-- For whoever looks at what is due: as long as the records that have a due time.
CREATE INDEX records_due ON records (kind, due_at_us, id) WHERE due_at_us IS NOT NULL;
