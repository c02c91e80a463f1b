-- Invitations and password resets; sessions are found by what still stands and until when.

create table invitations (
    "invitation_id" text collate "C" not null,
    "workspace_id" text collate "C" not null,
    "token_hash" text collate "C" not null,
    "created_at" timestamptz not null,
    "open_until_at" timestamptz,
    "version" bigint not null,
    "body" json not null,
    primary key ("invitation_id"),
    unique ("token_hash")
);
create index invitations_by_workspace_id_created_at_invitation_id
    on invitations ("workspace_id", "created_at", "invitation_id");

create table password_resets (
    "reset_id" text collate "C" not null,
    "user_id" text collate "C" not null,
    "token_hash" text collate "C" not null,
    "expires_at" timestamptz not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("reset_id"),
    unique ("token_hash")
);
create index password_resets_by_user_id on password_resets ("user_id");

alter table sessions
    add column "created_at" timestamptz,
    add column "standing" text collate "C",
    add column "dies_at" timestamptz;
update sessions set
    "created_at" = ("body" ->> 'created_at')::timestamptz,
    "standing" = case when "body" ->> 'revoked_at' is null
        then ("body" ->> 'user_id') || ' ' || ("body" ->> 'epoch') end,
    "dies_at" = least(("body" ->> 'expires_at')::timestamptz, ("body" ->> 'ends_at')::timestamptz);
alter table sessions
    alter column "created_at" set not null,
    alter column "dies_at" set not null;
create index sessions_by_standing_last_used_at_session_id on sessions ("standing", "last_used_at", "session_id");
