"""Analysis of recordings: every frame once, in segments that are processed independently and in any order."""
