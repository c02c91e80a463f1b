-- Which generation of cache keys may be used, whether any may, and for which life of the cache (decision 6).

create table cache_rights (
    "only" boolean primary key default true check ("only"),
    "generation" bigint not null,
    "open" boolean not null,
    "life" text collate "C" not null,
    "closed_at" timestamptz not null
);

insert into cache_rights ("generation", "open", "life", "closed_at") values (0, false, '', '2000-01-01 00:00Z');

-- Runs after the gate was taken, as a statement of its own, so that it sees what was committed before.
create function defarm_cache_guard(seen bigint, was_open boolean, at_life text, deadline timestamptz)
returns void language plpgsql as $$
begin
    if clock_timestamp() >= deadline or not exists (
        select from cache_rights r
        where r.generation = seen and r.open = was_open and (not was_open or r.life = at_life)
    ) then
        raise exception 'the rights to the cache have changed' using errcode = 'DF002';
    end if;
end
$$;
