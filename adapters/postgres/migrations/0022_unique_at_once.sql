-- What is unique is looked at row by row: rows that are looked at when their statement ends are all there by then,
-- and two units with the same new values wait for each other. A unit that hands values from row to row lets go of
-- them first.

do $$
declare
    each record;
begin
    for each in
        select conname, conrelid::regclass as tab, pg_get_constraintdef(oid) as def
        from pg_constraint
        where contype = 'u' and condeferrable and connamespace = current_schema()::regnamespace
    loop
        execute format('alter table %s drop constraint %I, add constraint %I %s',
            each.tab, each.conname, each.conname, replace(each.def, ' DEFERRABLE', ''));
    end loop;
end
$$;
