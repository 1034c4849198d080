"""Sources of frames: cameras, network streams, recordings, pictures and the built-in demo."""
