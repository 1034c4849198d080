"""What may be read, shown, kept and handed on, and for how long: decided once, and carried by type."""
