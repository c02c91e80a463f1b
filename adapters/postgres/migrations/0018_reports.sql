-- Compliance reports; what a user contributed and shared is found by the user.

create table reports (
    "report_id" text collate "C" not null,
    "requested_by" text collate "C" not null,
    "created_at" timestamptz not null,
    "unfinished" text collate "C",
    "content_until_at" timestamptz,
    "version" bigint not null,
    "body" json not null,
    primary key ("report_id"),
    unique ("unfinished") deferrable initially immediate
);
create index reports_by_created_at_report_id on reports ("created_at", "report_id");
create index reports_by_requested_by_created_at_report_id on reports ("requested_by", "created_at", "report_id");
create index reports_by_content_until_at_report_id on reports ("content_until_at", "report_id") where "content_until_at" is not null;

create table report_chunks (
    "report_id" text collate "C" not null,
    "place" text collate "C" not null,
    "body" json not null,
    primary key ("report_id", "place")
);

alter table contributions add column "user_id" text collate "C";
update contributions set "user_id" = "body" ->> 'user_id';
create index contributions_by_user_id_recorded_at_contribution_id
    on contributions ("user_id", "recorded_at", "contribution_id") where "user_id" is not null;

alter table shares add column "shared_by" text collate "C";
update shares set "shared_by" = "body" ->> 'shared_by';
alter table shares alter column "shared_by" set not null;
create index shares_by_shared_by_created_at_share_id on shares ("shared_by", "created_at", "share_id");
