"""Devices for claims (KEP-4381): what there is (pools), what is asked for (requests), who gets which (allocator)."""
