"""Retraining: checking new data, fine-tuning a bundle, gates, and promotion on request."""
