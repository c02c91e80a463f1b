-- Circuits are listed and found by their public page; members are counted by role and found by what they may decide.

alter table circuits
    add column "public_since" timestamptz,
    add column "listed" boolean,
    add column "opens_at" timestamptz,
    add column "tokens" tsvector;
update circuits set
    "public_since" = (body->>'public_since')::timestamptz,
    "opens_at" = case when body->'public_settings'->>'access_mode' = 'scheduled'
        then (body->'public_settings'->>'scheduled_date')::timestamptz end,
    "tokens" = array_to_tsvector(array(
        select distinct word from regexp_split_to_table(lower(concat_ws(' ',
            coalesce(body->'public_settings'->>'public_name', body->>'name'),
            body->'public_settings'->>'tagline')), '[^[:alnum:]]+') word where word <> ''));
update circuits set "listed" = "status" = 'active' and (body->>'allow_public_visibility')::boolean
    and body->'public_settings'->>'access_mode' <> 'protected'
    and (body->'public_settings'->>'access_mode' <> 'scheduled' or "opens_at" is not null);
alter table circuits
    alter column "listed" set not null,
    alter column "tokens" set not null;
create index circuits_by_listed_public_since_circuit_id on circuits ("listed", "public_since", "circuit_id");
create index circuits_by_words on circuits using gin (tokens);

alter table memberships
    add column "role" text collate "C",
    add column "can_approve" boolean,
    add column "can_manage_members" boolean;
update memberships set
    "role" = coalesce(body->>'custom_role_id', body->>'base_role'),
    "can_approve" = (body->'permissions')::jsonb ? 'approve',
    "can_manage_members" = (body->'permissions')::jsonb ? 'manage_members';
alter table memberships
    alter column "role" set not null,
    alter column "can_approve" set not null,
    alter column "can_manage_members" set not null;
create index memberships_by_circuit_id_status_role_joined_at_user_id
    on memberships ("circuit_id", "status", "role", "joined_at", "user_id");
create index memberships_by_circuit_id_status_can_approve_user_id
    on memberships ("circuit_id", "status", "can_approve", "user_id");
create index memberships_by_circuit_id_status_can_manage_members_user_id
    on memberships ("circuit_id", "status", "can_manage_members", "user_id");

-- A chain knows how many of its events are public.
update chains c set body = jsonb_set(c.body::jsonb, '{public}', to_jsonb(
    (select count(*) from events e where e.dfid = c.dfid and e.visibility = 'public')))::json;
