"""Drift: has what the camera sees, or what the model makes of it, moved away from what it was judged on?"""
