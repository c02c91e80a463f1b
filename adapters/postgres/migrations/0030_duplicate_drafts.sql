-- Drafts of equal fingerprint are found by an index, as those of equal numbers are by their entries (decision 21).

alter table items add column "draft_place" text collate "C";
create index items_by_draft_place_key on items ("draft_place", "key") where "draft_place" is not null;
