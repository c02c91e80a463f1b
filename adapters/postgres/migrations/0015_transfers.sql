-- Offers of items to other workspaces.

create table transfers (
    "transfer_id" text collate "C" not null,
    "dfid" text collate "C" not null,
    "from_workspace_id" text collate "C" not null,
    "to_workspace_id" text collate "C" not null,
    "status" text collate "C" not null,
    "created_at" timestamptz not null,
    "expires_at" timestamptz not null,
    "open_dfid" text collate "C",
    "version" bigint not null,
    "body" json not null,
    primary key ("transfer_id"),
    constraint transfers_open_dfid_key unique ("open_dfid") deferrable initially immediate
);
create index transfers_by_from_workspace_id_status_created_at_transfer_id
    on transfers ("from_workspace_id", "status", "created_at", "transfer_id");
create index transfers_by_from_workspace_id_created_at_transfer_id
    on transfers ("from_workspace_id", "created_at", "transfer_id");
create index transfers_by_to_workspace_id_status_created_at_transfer_id
    on transfers ("to_workspace_id", "status", "created_at", "transfer_id");
create index transfers_by_to_workspace_id_created_at_transfer_id
    on transfers ("to_workspace_id", "created_at", "transfer_id");
