"""Views derived from a stored session: text, page, picture, export formats."""
