"""Recordings analysed: every frame once, in segments that can be read anywhere and in any order."""
