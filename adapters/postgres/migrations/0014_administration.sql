-- Accounts are listed and counted by what has become of them, invitations are found by whom they name.

alter table accounts
    add column "place" text collate "C",
    add column "last_login_at" timestamptz;
update accounts set
    "place" = case when body->>'erased_at' is not null then 'erased' else body->>'status' end,
    "last_login_at" = (body->>'last_login_at')::timestamptz;
alter table accounts alter column "place" set not null;
create index accounts_by_place_created_at_user_id on accounts ("place", "created_at", "user_id");
create index accounts_by_is_admin_place on accounts ("is_admin", "place");
create index accounts_by_last_login_at_user_id on accounts ("last_login_at", "user_id");

create index workspaces_by_created_at_workspace_id on workspaces ("created_at", "workspace_id");

alter table invitations add column "invitee" text collate "C";
update invitations set "invitee" = nullif(lower(body->>'email'), '');
create index invitations_by_invitee_invitation_id on invitations ("invitee", "invitation_id");
