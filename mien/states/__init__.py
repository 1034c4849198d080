"""Editable rules about observables and learning states. No clock, session files or views."""
