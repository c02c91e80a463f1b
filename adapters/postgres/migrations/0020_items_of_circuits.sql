-- The items of each circuit in the order of their creation, which placements do not tell.

create table placed_items (
    "circuit_id" text collate "C" not null,
    "dfid" text collate "C" not null,
    "created_at" timestamptz not null,
    primary key ("circuit_id", "dfid")
);
create index placed_items_by_circuit_id_created_at_dfid on placed_items ("circuit_id", "created_at", "dfid");

insert into placed_items select p.circuit_id, p.dfid, i.created_at from placements p join items i on i.key = p.dfid;

create function defarm_note_placed_items() returns trigger language plpgsql as $$
begin
    insert into placed_items select n.circuit_id, n.dfid, i.created_at from added n join items i on i.key = n.dfid
        on conflict (circuit_id, dfid) do update set created_at = excluded.created_at;
    return null;
end
$$;
create trigger placed_items_of_new_placements after insert on placements
    referencing new table as added for each statement execute function defarm_note_placed_items();

create function defarm_forget_placed_items() returns trigger language plpgsql as $$
begin
    delete from placed_items p using gone g where p.circuit_id = g.circuit_id and p.dfid = g.dfid;
    return null;
end
$$;
create trigger placed_items_of_ended_placements after delete on placements
    referencing old table as gone for each statement execute function defarm_forget_placed_items();
