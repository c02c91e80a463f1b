-- Which batch of the units that were acknowledged before PostgreSQL had them was written last (decision 20).

alter table store_writers add column "written" text collate "C" not null default '';
