"""What may be going on with a learner, as rules anybody can read and change. No clock, no files of a session, no screens."""
