-- The items of a circuit that are in some status, in the order of their creation or of their placing: also few of many.

alter table placed_items
    add column "status" text collate "C",
    add column "placed_at" timestamptz,
    add column "placement_id" text collate "C";

update placed_items x set "status" = i.status, "placed_at" = p.placed_at, "placement_id" = p.placement_id
    from placements p join items i on i.key = p.dfid where p.circuit_id = x.circuit_id and p.dfid = x.dfid;

alter table placed_items
    alter column "status" set not null,
    alter column "placed_at" set not null,
    alter column "placement_id" set not null;

create index placed_items_by_circuit_id_status_created_at_dfid
    on placed_items ("circuit_id", "status", "created_at", "dfid");
create index placed_items_by_circuit_id_status_placed_at_placement_id
    on placed_items ("circuit_id", "status", "placed_at", "placement_id");

create or replace function defarm_note_placed_items() returns trigger language plpgsql as $$
begin
    insert into placed_items (circuit_id, dfid, created_at, status, placed_at, placement_id)
        select n.circuit_id, n.dfid, i.created_at, i.status, n.placed_at, n.placement_id
        from added n join items i on i.key = n.dfid
        on conflict (circuit_id, dfid) do update set created_at = excluded.created_at, status = excluded.status,
            placed_at = excluded.placed_at, placement_id = excluded.placement_id;
    return null;
end
$$;

-- Whoever changes the status of an item holds its row, which every push confirms.
create function defarm_note_placed_status() returns trigger language plpgsql as $$
begin
    update placed_items x set "status" = new.status from placements p
        where p.dfid = new.key and x.circuit_id = p.circuit_id and x.dfid = p.dfid;
    return null;
end
$$;
create trigger placed_items_of_new_status after update on items
    for each row when (old.status is distinct from new.status) execute function defarm_note_placed_status();
