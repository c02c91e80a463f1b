-- Webhooks of circuits and their deliveries.

create table webhooks (
    "webhook_id" text collate "C" not null,
    "circuit_id" text collate "C" not null,
    "created_at" timestamptz not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("webhook_id")
);
create index webhooks_by_circuit_id_created_at_webhook_id on webhooks ("circuit_id", "created_at", "webhook_id");

create table deliveries (
    "delivery_id" text collate "C" not null,
    "webhook_id" text collate "C" not null,
    "circuit_id" text collate "C" not null,
    "status" text collate "C" not null,
    "trigger" text collate "C" not null,
    "created_at" timestamptz not null,
    "ended_at" timestamptz,
    "due_at" timestamptz,
    "cause" text collate "C" not null,
    "version" bigint not null,
    "body" json not null,
    primary key ("delivery_id"),
    unique ("cause") deferrable initially immediate
);
create index deliveries_by_due_at_delivery_id on deliveries ("due_at", "delivery_id");
create index deliveries_by_webhook_id_due_at_delivery_id on deliveries ("webhook_id", "due_at", "delivery_id");
create index deliveries_by_webhook_id_status_created_at_delivery_id
    on deliveries ("webhook_id", "status", "created_at", "delivery_id");
create index deliveries_by_webhook_id_created_at_delivery_id
    on deliveries ("webhook_id", "created_at", "delivery_id");
create index deliveries_by_circuit_id_created_at_delivery_id
    on deliveries ("circuit_id", "created_at", "delivery_id");
create index deliveries_by_ended_at_delivery_id on deliveries ("ended_at", "delivery_id");
create index deliveries_by_status_created_at_delivery_id on deliveries ("status", "created_at", "delivery_id");
