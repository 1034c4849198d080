"""Sources, the pipeline, the loop that moves frames, and the views."""
