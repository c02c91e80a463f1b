-- API keys, what they did by day, and when they were last used.

create table api_keys (
    "key_id" text collate "C" not null,
    "workspace_id" text collate "C" not null,
    "created_by" text collate "C" not null,
    "secret_hash" text collate "C" not null,
    "previous_hash" text collate "C",
    "created_at" timestamptz not null,
    "works_until_at" timestamptz,
    "warns_at" timestamptz,
    "version" bigint not null,
    "body" json not null,
    primary key ("key_id"),
    constraint api_keys_secret_hash_key unique ("secret_hash") deferrable initially immediate,
    constraint api_keys_previous_hash_key unique ("previous_hash") deferrable initially immediate
);
create index api_keys_by_workspace_id_created_at_key_id on api_keys ("workspace_id", "created_at", "key_id");
create index api_keys_by_created_by_created_at_key_id on api_keys ("created_by", "created_at", "key_id");
create index api_keys_by_warns_at_key_id on api_keys ("warns_at", "key_id");

create table key_usage (
    "key_id" text collate "C" not null,
    "day" text collate "C" not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("key_id", "day")
);
create index key_usage_by_day_key_id on key_usage ("day", "key_id");

create table key_uses (
    "key_id" text collate "C" not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("key_id")
);
