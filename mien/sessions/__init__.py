"""What a stored session is: records, counts, recorder, folder, database, recovery and erasure."""
