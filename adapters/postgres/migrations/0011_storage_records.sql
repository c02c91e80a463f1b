-- Where items are and were kept; disputes about claims are listed over all workspaces.

create table storage_records (
    "record_id" text collate "C" not null,
    "dfid" text collate "C" not null,
    "store_id" text collate "C" not null,
    "action" text collate "C" not null,
    "run_id" text collate "C",
    "recorded_at" timestamptz not null,
    "copied_in" text collate "C",
    "body" json not null,
    primary key ("record_id"),
    unique ("copied_in")
);
create index storage_records_by_dfid_recorded_at_record_id on storage_records ("dfid", "recorded_at", "record_id");
create index storage_records_by_action_run_id on storage_records ("action", "run_id");
create index storage_records_by_action_store_id on storage_records ("action", "store_id");

create index pending_by_reason_status_created_at_pending_id
    on pending ("reason", "status", "created_at", "pending_id");
