"""Seeing one frame: find faces, cut them out, read them, follow them, steady them."""
