-- Tables of the engine. Text compares by code point; every row keeps its whole value as a JSON body.

create function defarm_expect(met bigint, wanted bigint, facet text) returns void language plpgsql as $$
begin
    if met <> wanted then
        raise exception 'stale' using errcode = 'DF001', table = facet;
    end if;
end
$$;

create table sequences (
    day text collate "C" primary key,
    last bigint not null
);

create table store (
    "store_key" text collate "C" not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("store_key")
);

create table workspaces (
    "workspace_id" text collate "C" not null,
    "folded_name" text collate "C" not null,
    "created_at" timestamptz not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("workspace_id"),
    unique ("folded_name")
);

create table accounts (
    "user_id" text collate "C" not null,
    "workspace_id" text collate "C" not null,
    "username" text collate "C" not null,
    "is_admin" boolean not null,
    "created_at" timestamptz not null,
    "email_key" text collate "C",
    "version" bigint not null,
    "body" json not null,
    primary key ("user_id"),
    unique ("username"),
    unique ("email_key")
);
create index accounts_by_workspace_id_created_at_user_id on accounts ("workspace_id", "created_at", "user_id");
create index accounts_by_created_at_user_id on accounts ("created_at", "user_id");

create table admin_roster (
    "roster_id" text collate "C" not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("roster_id")
);

create table sessions (
    "session_id" text collate "C" not null,
    "user_id" text collate "C" not null,
    "last_used_at" timestamptz not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("session_id")
);
create index sessions_by_user_id_last_used_at_session_id on sessions ("user_id", "last_used_at", "session_id");

create table refresh_tokens (
    "token_hash" text collate "C" not null,
    "session_id" text collate "C" not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("token_hash")
);
create index refresh_tokens_by_session_id on refresh_tokens ("session_id");

create table idempotency (
    "key" text collate "C" not null,
    "expires_at" timestamptz not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("key")
);
create index idempotency_by_expires_at on idempotency ("expires_at");

create table circuits (
    "circuit_id" text collate "C" not null,
    "owner_id" text collate "C" not null,
    "status" text collate "C" not null,
    "created_at" timestamptz not null,
    "require_approval_for_pull" boolean not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("circuit_id")
);
create index circuits_by_owner_id_status on circuits ("owner_id", "status");

create table memberships (
    "circuit_id" text collate "C" not null,
    "user_id" text collate "C" not null,
    "status" text collate "C" not null,
    "joined_at" timestamptz not null,
    "can_pull" boolean not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("circuit_id", "user_id")
);
create index memberships_by_circuit_id_status_joined_at_user_id on memberships ("circuit_id", "status", "joined_at", "user_id");
create index memberships_by_user_id_status_joined_at_circuit_id on memberships ("user_id", "status", "joined_at", "circuit_id");

create table join_requests (
    "request_id" text collate "C" not null,
    "circuit_id" text collate "C" not null,
    "requester_id" text collate "C" not null,
    "status" text collate "C" not null,
    "requested_at" timestamptz not null,
    "waiting" text collate "C",
    "version" bigint not null,
    "body" json not null,
    primary key ("request_id"),
    unique ("waiting")
);
create index join_requests_by_circuit_id_status_requested_at on join_requests ("circuit_id", "status", "requested_at");
create index join_requests_by_requester_id_requested_at on join_requests ("requester_id", "requested_at");

create table items (
    "key" text collate "C" not null,
    "local_id" text collate "C",
    "workspace_id" text collate "C" not null,
    "status" text collate "C" not null,
    "created_at" timestamptz not null,
    "updated_at" timestamptz not null,
    "fingerprint" text collate "C",
    "version" bigint not null,
    "tokens" tsvector not null,
    "body" json not null,
    primary key ("key"),
    unique ("local_id")
);
create index items_by_workspace_id_status_created_at_key on items ("workspace_id", "status", "created_at", "key");
create index items_by_workspace_id_created_at_key on items ("workspace_id", "created_at", "key");
create index items_by_workspace_id_updated_at_key on items ("workspace_id", "updated_at", "key");
create index items_by_words on items using gin (tokens);

create table mappings (
    "local_id" text collate "C" not null,
    "dfid" text collate "C" not null,
    "body" json not null,
    primary key ("local_id")
);
create index mappings_by_dfid on mappings ("dfid");

create table claims (
    "space" text collate "C" not null,
    "key" text collate "C" not null,
    "lookup" text collate "C" not null,
    "item" text collate "C" not null,
    "body" json not null,
    primary key ("space", "key", "lookup")
);
create index claims_by_item on claims ("item");

create table identifier_entries (
    "item" text collate "C" not null,
    "namespace" text collate "C" not null,
    "key" text collate "C" not null,
    "lookup" text collate "C" not null,
    "place" text collate "C",
    "workspace_id" text collate "C" not null,
    "circuit_id" text collate "C",
    "personal" boolean not null,
    "body" json not null,
    primary key ("item", "namespace", "key", "lookup")
);
create index identifier_entries_by_place_item on identifier_entries ("place", "item") where "place" is not null;
create index identifier_entries_by_key_lookup_item on identifier_entries ("key", "lookup", "item");

create table value_counters (
    "place" text collate "C" not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("place")
);

create table contributions (
    "contribution_id" text collate "C" not null,
    "item" text collate "C" not null,
    "recorded_at" timestamptz not null,
    "body" json not null,
    primary key ("contribution_id")
);
create index contributions_by_item_recorded_at_contribution_id on contributions ("item", "recorded_at", "contribution_id");

create table shares (
    "share_id" text collate "C" not null,
    "dfid" text collate "C" not null,
    "recipient_user_id" text collate "C" not null,
    "created_at" timestamptz not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("share_id")
);
create index shares_by_dfid_created_at on shares ("dfid", "created_at");
create index shares_by_recipient_user_id_created_at_share_id on shares ("recipient_user_id", "created_at", "share_id");

create table pending (
    "pending_id" text collate "C" not null,
    "workspace_id" text collate "C" not null,
    "status" text collate "C" not null,
    "reason" text collate "C" not null,
    "priority" bigint not null,
    "created_at" timestamptz not null,
    "open_digest" text collate "C",
    "version" bigint not null,
    "body" json not null,
    primary key ("pending_id"),
    unique ("open_digest")
);
create index pending_by_workspace_id_status_created_at_pending_id on pending ("workspace_id", "status", "created_at", "pending_id");

create table imports (
    "import_id" text collate "C" not null,
    "workspace_id" text collate "C" not null,
    "started_at" timestamptz not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("import_id")
);
create index imports_by_workspace_id_started_at_import_id on imports ("workspace_id", "started_at", "import_id");

create table import_rows (
    "import_id" text collate "C" not null,
    "outcome" text collate "C" not null,
    "row" bigint not null,
    "row_key" text collate "C" not null,
    "body" json not null,
    primary key ("import_id", "row_key")
);
create index import_rows_by_import_id_row on import_rows ("import_id", "row");

create table placements (
    "circuit_id" text collate "C" not null,
    "dfid" text collate "C" not null,
    "placement_id" text collate "C" not null,
    "placed_at" timestamptz not null,
    "placed_by" text collate "C" not null,
    "published" boolean not null,
    "published_at" timestamptz,
    "item_workspace_id" text collate "C" not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("circuit_id", "dfid")
);
create index placements_by_circuit_id_placed_at_placement_id on placements ("circuit_id", "placed_at", "placement_id");
create index placements_by_dfid_circuit_id on placements ("dfid", "circuit_id");
create index placements_by_circuit_id_published_published_at_placement_id on placements ("circuit_id", "published", "published_at", "placement_id");

create table fingerprints (
    "circuit_id" text collate "C" not null,
    "fingerprint" text collate "C" not null,
    "dfid" text collate "C" not null,
    "body" json not null,
    primary key ("circuit_id", "fingerprint")
);
create index fingerprints_by_circuit_id_dfid on fingerprints ("circuit_id", "dfid");

create table operations (
    "operation_id" text collate "C" not null,
    "circuit_id" text collate "C" not null,
    "requester_id" text collate "C" not null,
    "requester_workspace_id" text collate "C" not null,
    "operation_type" text collate "C" not null,
    "status" text collate "C" not null,
    "dfid" text collate "C",
    "batch_id" text collate "C",
    "requested_at" timestamptz not null,
    "placement_id" text collate "C",
    "member_since" timestamptz not null,
    "slot" text collate "C",
    "version" bigint not null,
    "body" json not null,
    primary key ("operation_id"),
    unique ("slot")
);
create index operations_by_circuit_id_status_requested_at_operation_id on operations ("circuit_id", "status", "requested_at", "operation_id");
create index operations_by_circuit_id_dfid_requester_id_operation_type on operations ("circuit_id", "dfid", "requester_id", "operation_type");
create index operations_by_circuit_id_requested_at_operation_id on operations ("circuit_id", "requested_at", "operation_id");
create index operations_by_circuit_id_requester_workspace_id on operations ("circuit_id", "requester_workspace_id", "requested_at", "operation_id");

create table chains (
    "dfid" text collate "C" not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("dfid")
);

create table events (
    "event_id" text collate "C" not null,
    "dfid" text collate "C" not null,
    "position" bigint not null,
    "event_type" text collate "C" not null,
    "category" text collate "C",
    "visibility" text collate "C" not null,
    "circuit_id" text collate "C",
    "recipient_user_id" text collate "C",
    "author_user_id" text collate "C",
    "author_workspace_id" text collate "C",
    "recorded_at" timestamptz not null,
    "occurred_at" timestamptz not null,
    "corrects" text collate "C",
    "body" json not null,
    primary key ("event_id"),
    unique ("dfid", "position")
);
create index events_by_author_workspace_id_recorded_at_event_id on events ("author_workspace_id", "recorded_at", "event_id") where "author_workspace_id" is not null;
create index events_by_circuit_id_recorded_at_event_id on events ("circuit_id", "recorded_at", "event_id") where "circuit_id" is not null;
create index events_by_recipient_user_id_recorded_at_event_id on events ("recipient_user_id", "recorded_at", "event_id") where "recipient_user_id" is not null;

create table activity (
    "activity_id" text collate "C" not null,
    "at" timestamptz not null,
    "circuit_id" text collate "C",
    "workspace_id" text collate "C",
    "actor_user_id" text collate "C",
    "kind" text collate "C" not null,
    "body" json not null,
    primary key ("activity_id")
);
create index activity_by_circuit_id_at_activity_id on activity ("circuit_id", "at", "activity_id") where "circuit_id" is not null;
create index activity_by_workspace_id_at_activity_id on activity ("workspace_id", "at", "activity_id") where "workspace_id" is not null;
create index activity_by_actor_user_id_at_activity_id on activity ("actor_user_id", "at", "activity_id") where "actor_user_id" is not null;

create table audit (
    "entry_id" text collate "C" not null,
    "at" timestamptz not null,
    "action" text collate "C" not null,
    "circuit_id" text collate "C",
    "trace_id" text collate "C" not null,
    "resource_id" text collate "C",
    "version" bigint not null,
    "body" json not null,
    primary key ("entry_id")
);
create index audit_by_at_entry_id on audit ("at", "entry_id");
create index audit_by_circuit_id_at_entry_id on audit ("circuit_id", "at", "entry_id") where "circuit_id" is not null;
create index audit_by_resource_id_at_entry_id on audit ("resource_id", "at", "entry_id") where "resource_id" is not null;

create table notifications (
    "notification_id" text collate "C" not null,
    "user_id" text collate "C" not null,
    "type" text collate "C" not null,
    "source_id" text collate "C" not null,
    "created_at" timestamptz not null,
    "unread" boolean not null,
    "version" bigint not null,
    "position" bigint not null,
    "body" json not null,
    primary key ("notification_id"),
    unique ("user_id", "type", "source_id")
);
create index notifications_by_user_id_position on notifications ("user_id", "position");
create index notifications_by_user_id_created_at_notification_id on notifications ("user_id", "created_at", "notification_id");
create table notifications_counters (
    owner text collate "C" primary key,
    last bigint not null
);

create table outbox (
    "row_id" text collate "C" not null,
    "kind" text collate "C" not null,
    "status" text collate "C" not null,
    "created_at" timestamptz not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("row_id")
);
create index outbox_by_status_created_at_row_id on outbox ("status", "created_at", "row_id");
