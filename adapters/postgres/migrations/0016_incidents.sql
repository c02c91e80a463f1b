-- Incidents, and what the rules that open them have counted lately.

create table incidents (
    "incident_id" text collate "C" not null,
    "rule" text collate "C" not null,
    "status" text collate "C" not null,
    "severity" text collate "C" not null,
    "assignee" text collate "C",
    "created_at" timestamptz not null,
    "subject" text collate "C" not null,
    "standing" text collate "C",
    "version" bigint not null,
    "body" json not null,
    primary key ("incident_id"),
    unique ("standing") deferrable initially immediate
);
create index incidents_by_created_at_incident_id on incidents ("created_at", "incident_id");
create index incidents_by_subject_created_at_incident_id on incidents ("subject", "created_at", "incident_id");

create table rule_windows (
    "rule" text collate "C" not null,
    "until_at" timestamptz not null,
    "counted_by" text collate "C" not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("rule", "counted_by")
);
create index rule_windows_by_until_at on rule_windows ("until_at");
