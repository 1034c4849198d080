"""Processing of one frame: face detection, alignment, prediction, tracking and smoothing."""
