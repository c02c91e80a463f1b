-- Lists of a million rows find their page by index, whatever opens the rows to their viewer.

create index items_by_created_at_key on items ("created_at", "key");
create index items_by_updated_at_key on items ("updated_at", "key");

update items i set "tokens" = i."tokens" || array_to_tsvector(array(
    select distinct mark from json_array_elements(i.body->'identifiers') one,
        unnest(array['#n' || (one->>'namespace'), '#k' || (one->>'kind'), '#e' || (one->>'evidence')]) mark
    where mark is not null
    union
    select '#a' || encode(sha256(convert_to(concat_ws(' ', one->>'workspace_id', one->>'scheme', one->>'value'), 'UTF8')),
        'hex') from json_array_elements(i.body->'aliases') one
)) where json_array_length(i.body->'identifiers') > 0 or json_array_length(i.body->'aliases') > 0;

create index events_by_recorded_at_event_id on events ("recorded_at", "event_id");
create index events_by_occurred_at_event_id on events ("occurred_at", "event_id");
create index events_by_author_workspace_id_occurred_at_event_id
    on events ("author_workspace_id", "occurred_at", "event_id") where "author_workspace_id" is not null;
create index events_by_author_workspace_id_event_type_recorded_at_event_id
    on events ("author_workspace_id", "event_type", "recorded_at", "event_id") where "author_workspace_id" is not null;
create index events_by_category_author_workspace_id_recorded_at_event_id
    on events ("category", "author_workspace_id", "recorded_at", "event_id") where "category" is not null;

-- Public events by others than the owner of the item: few, and found by no column of an event.
create table foreign_events (
    "event_id" text collate "C" primary key,
    "owner_workspace_id" text collate "C" not null,
    "recorded_at" timestamptz not null
);
create index foreign_events_by_owner_workspace_id_recorded_at_event_id
    on foreign_events ("owner_workspace_id", "recorded_at", "event_id");

insert into foreign_events select e.event_id, i.workspace_id, e.recorded_at from events e join items i on i.key = e.dfid
    where e.visibility = 'public' and e.author_workspace_id is distinct from i.workspace_id;

create function defarm_note_foreign_events() returns trigger language plpgsql as $$
begin
    insert into foreign_events
        select n.event_id, i.workspace_id, n.recorded_at from added n join items i on i.key = n.dfid
        where n.visibility = 'public' and n.author_workspace_id is distinct from i.workspace_id
        on conflict (event_id) do update
            set owner_workspace_id = excluded.owner_workspace_id, recorded_at = excluded.recorded_at;
    return null;
end
$$;
create trigger foreign_events_of_new_events after insert on events
    referencing new table as added for each statement execute function defarm_note_foreign_events();

-- An item that changes hands takes its events along.
create function defarm_note_new_owner() returns trigger language plpgsql as $$
begin
    insert into foreign_events
        select e.event_id, new.workspace_id, e.recorded_at from events e
        where e.dfid = new.key and e.visibility = 'public' and e.author_workspace_id is distinct from new.workspace_id
        on conflict (event_id) do update set owner_workspace_id = excluded.owner_workspace_id;
    return null;
end
$$;
create trigger foreign_events_of_new_owners after update on items
    for each row when (old.workspace_id is distinct from new.workspace_id) execute function defarm_note_new_owner();
