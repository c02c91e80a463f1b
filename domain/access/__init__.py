"""Who may see and do what: one pure decision for every path (circuits.md 2 and 3)."""
