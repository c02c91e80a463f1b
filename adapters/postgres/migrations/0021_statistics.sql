-- Numbers of the whole store, counted once a minute by whoever comes first, and the instances that serve it.

create table statistics (
    "name" text collate "C" not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("name")
);
create table instances (
    "instance_id" text collate "C" not null,
    "last_seen_at" timestamptz not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("instance_id")
);
create index instances_by_last_seen_at_instance_id on instances ("last_seen_at", "instance_id");
create index operations_by_status_requested_at_operation_id on operations ("status", "requested_at", "operation_id");
