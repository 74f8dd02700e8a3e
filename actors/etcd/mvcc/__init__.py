"""The state machine: keys with revisions, transactions, leases, watches. Pure, and deterministic in the log alone."""
