"""Raft without I/O: messages and time go in, messages and jobs come out (Ongaro's dissertation, 2014)."""
