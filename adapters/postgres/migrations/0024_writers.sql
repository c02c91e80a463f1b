-- Which kind of writer the store belongs to, so that no two kinds write side by side (decision 18).

create table store_writers (
    "only" boolean primary key default true check ("only"),
    "turn" bigint not null,
    "holder" int not null,
    "process" text collate "C" not null,
    "owed_to" text collate "C" not null,
    "owed" double precision not null,
    "since" timestamptz not null
);

insert into store_writers ("turn", "holder", "process", "owed_to", "owed", "since")
values (0, 0, '', '', 0, '2000-01-01 00:00Z');

-- Makes this session one of a kind of writer, for its life, and tells whose turn it is, how many seconds to wait before
-- the first write, and on account of which process. Each kind holds its advisory lock before it looks for others, so of
-- two that come at once at least one sees the other. The wait is owed to who may still answer from a cache (kind 2) or a
-- memory (kinds from 16 on), whose process is named.
create function defarm_enter(mine int, me text, out turn bigint, out wait double precision, out owed_to text)
language plpgsql as $$
declare
    other bigint;
begin
    perform pg_advisory_lock_shared(25702, mine);
    select l.objid::bigint into other from pg_locks l
    where l.locktype = 'advisory' and l.classid = 25702 and l.objsubid = 2 and l.granted and l.objid::bigint <> mine
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
    limit 1;
    if found then
        perform pg_advisory_unlock_shared(25702, mine);
        raise exception 'another kind of writer is at work' using errcode = 'DF003', detail = other::text;
    end if;
    update store_writers w set holder = mine, turn = w.turn + 1, process = me, owed_to = w.process,
        owed = case when w.holder >= 16 then 1.5 when w.holder = 2 then 2.5 else 0 end, since = clock_timestamp()
    where w.holder <> mine;
    if found and mine <> 2 then
        update cache_rights set "open" = false, "closed_at" = clock_timestamp() where "open";
    end if;
    select w.turn, greatest(0, w.owed - extract(epoch from clock_timestamp() - w.since)), w.owed_to
    into defarm_enter.turn, defarm_enter.wait, defarm_enter.owed_to from store_writers w;
end
$$;
