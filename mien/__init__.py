"""Mien reads facial expressions from a camera or a video, on the machine it runs on.

An expression is what a face shows; it is not what a person feels.
"""

__version__ = "0.1.0"
