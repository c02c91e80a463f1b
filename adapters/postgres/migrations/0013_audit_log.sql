-- The Merkle log over the audit, its counts by day, and when what is personal in an entry may go.

alter table audit add column "erasable_at" timestamptz;
update audit set "erasable_at" = "at" where "body" ->> 'personal' is not null;
create index audit_by_erasable_at_entry_id on audit ("erasable_at", "entry_id") where "erasable_at" is not null;

create table log_tiles (
    "tile_id" text collate "C" not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("tile_id")
);

create table log_checkpoints (
    "checkpoint_id" text collate "C" not null,
    "body" json not null,
    primary key ("checkpoint_id")
);

create table audit_days (
    "actor" text collate "C" not null,
    "day" text collate "C" not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("actor", "day")
);
create index audit_days_by_day_actor on audit_days ("day", "actor");
