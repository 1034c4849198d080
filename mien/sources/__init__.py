"""Where frames come from: cameras, network streams, recordings, pictures and the built-in demo."""
