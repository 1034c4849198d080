"""Numbers over time: what a stream of frame results adds up to. No clock, no files, no screens."""
