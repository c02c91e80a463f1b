-- Items are counted by what they are, and values that several items carry are found, without reading rows.

alter table items add column "profile" text collate "C" not null default '';
update items i set "profile" = (
    select '["' || i."status" || '",' || (i.body->>'confidence')::float8 || ',['
        || coalesce(string_agg(distinct to_json(n.value)::text, ',' order by to_json(n.value)::text), '') || '],{'
        || (select coalesce(string_agg(to_json(e.level)::text || ':' || e.number, ',' order by e.level collate "C"), '')
            from (select one->>'evidence' as level, count(*) as number
                  from json_array_elements(i.body->'identifiers') one group by 1) e) || '}]'
    from (select coalesce(one->>'namespace', 'generic') as value
          from json_array_elements(i.body->'identifiers') one) n);
alter table items alter column "profile" drop default;
create index items_by_workspace_id_profile on items ("workspace_id", "profile");

alter table value_counters add column "shared_in" text collate "C";
update value_counters set "shared_in" = split_part("place", ' ', 1) where (body->>'count')::bigint between 2 and 100;
create index value_counters_by_shared_in_place on value_counters ("shared_in", "place") where "shared_in" is not null;
