"""LTI 1.3: opens classes from a learning platform, such as Moodle, Canvas or Open edX.

The package does not depend on the class server. ``LtiTool`` takes a callable that opens a class.
"""
