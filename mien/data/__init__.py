"""FER2013 and data like it: reading, checking, describing."""
