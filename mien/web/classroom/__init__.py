"""Class server: aggregates of a group, live and after the lesson, never data of individuals."""
