-- What is kept for a time only is found by when that time began: ended sessions, used refresh tokens, the row results
-- of imports, password resets.

alter table sessions add column "over_at" timestamptz;
update sessions set "over_at" = coalesce((body ->> 'revoked_at')::timestamptz, "dies_at");
alter table sessions alter column "over_at" set not null;
create index sessions_by_over_at_session_id on sessions ("over_at", "session_id");

alter table refresh_tokens add column "used_at" timestamptz;
update refresh_tokens set "used_at" = (body ->> 'used_at')::timestamptz;
create index refresh_tokens_by_used_at_token_hash on refresh_tokens ("used_at", "token_hash");

alter table imports add column "reported_at" timestamptz;
update imports set "reported_at" = coalesce((body ->> 'finished_at')::timestamptz, "started_at");
create index imports_by_reported_at_import_id on imports ("reported_at", "import_id");

create index password_resets_by_expires_at_reset_id on password_resets ("expires_at", "reset_id");
