-- What waits in a circuit is counted by requester.

create index operations_by_circuit_id_requester_id_status on operations ("circuit_id", "requester_id", "status");
