"""Stored sessions: records, counts, recorder, folder, database, recovery and erasure."""
