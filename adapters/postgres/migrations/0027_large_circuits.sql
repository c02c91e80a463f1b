-- Lists of a large circuit find their page by index, whatever they are narrowed to.

create index placements_by_circuit_id_item_workspace_id_placed_at_placement_id
    on placements ("circuit_id", "item_workspace_id", "placed_at", "placement_id");
create index placements_by_circuit_id_placed_by_placed_at_placement_id
    on placements ("circuit_id", "placed_by", "placed_at", "placement_id");
create index operations_by_circuit_id_requester_id_requested_at_operation_id
    on operations ("circuit_id", "requester_id", "requested_at", "operation_id");
create index operations_by_circuit_id_operation_type
    on operations ("circuit_id", "operation_type", "requested_at", "operation_id");
create index operations_by_batch_id_requested_at_operation_id
    on operations ("batch_id", "requested_at", "operation_id") where "batch_id" is not null;
