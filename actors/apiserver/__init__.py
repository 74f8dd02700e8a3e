"""The API server: REST for people, messages for actors, one pipeline for both."""
