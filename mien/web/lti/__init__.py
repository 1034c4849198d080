"""LTI 1.3: opens classes from a learning platform, such as Moodle, Canvas or Open edX.

The package knows nothing of classes. ``LtiTool`` takes a callable that opens one.
"""
