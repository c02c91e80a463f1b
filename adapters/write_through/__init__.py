"""The working set in memory in front of PostgreSQL, for one process (docs/decisions/0018)."""
