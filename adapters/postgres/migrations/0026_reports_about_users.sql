-- Reports are found by whom they are about: they go when that user is erased.

alter table reports add column "subject_user_id" text collate "C";
update reports set "subject_user_id" = body ->> 'subject_user_id';
create index reports_by_subject_user_id_report_id on reports ("subject_user_id", "report_id");
