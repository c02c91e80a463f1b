-- One share per item and recipient stands; the queue is read by urgency and by the draft that waits.

alter table shares add column "standing" text collate "C";
update shares set "standing" = "dfid" || ' ' || "recipient_user_id" where body->>'revoked_at' is null;
alter table shares add constraint shares_standing_key unique ("standing") deferrable initially immediate;

alter table pending
    add column "origin" text collate "C",
    add column "local_id" text collate "C",
    add column "urgency" bigint;
update pending set "origin" = body->>'origin', "local_id" = body->>'local_id', "urgency" = -"priority";
alter table pending
    alter column "origin" set not null,
    alter column "urgency" set not null;
drop index pending_by_workspace_id_status_created_at_pending_id;
create index pending_by_workspace_id_status_urgency_created_at_pending_id
    on pending ("workspace_id", "status", "urgency", "created_at", "pending_id");
create index pending_by_local_id_status on pending ("local_id", "status");
