"""Facts about API objects that two components share, as pure functions: no clock, no chance, no I/O."""
