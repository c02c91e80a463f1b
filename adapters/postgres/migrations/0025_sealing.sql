-- What a trigger of every table says while the store takes no changes (adapters/postgres/place.py).

create function defarm_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'this store takes no changes' using errcode = 'DF004';
end
$$;
