-- Audit entries are found by everything they are filtered by, activity by item, notifications by what is unread.

alter table audit
    add column "workspace_id" text collate "C",
    add column "log_index" bigint,
    add column "resource_kind" text collate "C",
    add column "actor_user_id" text collate "C",
    add column "actor_key_id" text collate "C",
    add column "action_group" text collate "C",
    add column "concern" text collate "C",
    add column "setback" text collate "C";
update audit set
    "workspace_id" = "body" ->> 'workspace_id',
    "log_index" = ("body" ->> 'log_index')::bigint,
    "resource_kind" = "body" -> 'resource' ->> 'kind',
    "actor_user_id" = "body" -> 'actor' ->> 'user_id',
    "actor_key_id" = "body" -> 'actor' ->> 'key_id',
    "action_group" = split_part("action", '.', 1),
    "concern" = nullif("body" ->> 'severity', 'info'),
    "setback" = nullif("body" ->> 'outcome', 'success');
create index audit_by_log_index_at_entry_id on audit ("log_index", "at", "entry_id");
create index audit_by_workspace_id_at_entry_id on audit ("workspace_id", "at", "entry_id") where "workspace_id" is not null;
create index audit_by_resource_kind_at_entry_id on audit ("resource_kind", "at", "entry_id");
create index audit_by_actor_user_id_at_entry_id on audit ("actor_user_id", "at", "entry_id") where "actor_user_id" is not null;
create index audit_by_actor_key_id_at_entry_id on audit ("actor_key_id", "at", "entry_id") where "actor_key_id" is not null;
create index audit_by_action_at_entry_id on audit ("action", "at", "entry_id");
create index audit_by_action_group_at_entry_id on audit ("action_group", "at", "entry_id");
create index audit_by_concern_at_entry_id on audit ("concern", "at", "entry_id") where "concern" is not null;
create index audit_by_setback_at_entry_id on audit ("setback", "at", "entry_id") where "setback" is not null;
create index audit_by_trace_id_at_entry_id on audit ("trace_id", "at", "entry_id");

alter table activity add column "tokens" tsvector;
update activity set "tokens" = coalesce(
    (select string_agg(dfid, ' ') from json_array_elements_text("body" -> 'dfids') dfid), '')::tsvector;
alter table activity alter column "tokens" set not null;
create index activity_by_words on activity using gin (tokens);
create index activity_by_at_activity_id on activity ("at", "activity_id");
create index activity_by_circuit_id_kind_at_activity_id on activity ("circuit_id", "kind", "at", "activity_id") where "circuit_id" is not null;
create index activity_by_circuit_id_actor_user_id_at_activity_id on activity ("circuit_id", "actor_user_id", "at", "activity_id") where "circuit_id" is not null;

alter table notifications add column "circuit_id" text collate "C";
update notifications set "circuit_id" = "body" ->> 'circuit_id';
create index notifications_by_user_id_unread_position on notifications ("user_id", "unread", "position");
create index notifications_by_unread_created_at_notification_id on notifications ("unread", "created_at", "notification_id");
