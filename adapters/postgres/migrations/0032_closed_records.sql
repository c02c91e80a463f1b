-- Closed records of the pending queue are kept for a year; they are found by when they were closed.

alter table pending add column "closed_at" timestamptz;
update pending set "closed_at" = (body ->> 'updated_at')::timestamptz where "status" <> 'open';
create index pending_by_closed_at_pending_id on pending ("closed_at", "pending_id");
