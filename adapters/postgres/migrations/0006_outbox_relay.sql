-- Workers take the rows that are due in the order in which they became so; what is dead or done is not due.

alter table outbox add column "ready_at" timestamptz;
update outbox set "ready_at" = "created_at" where "status" = 'pending';
drop index outbox_by_status_created_at_row_id;
create index outbox_by_status_kind_created_at_row_id on outbox ("status", "kind", "created_at", "row_id");
create index outbox_by_ready_at_row_id on outbox ("ready_at", "row_id");
