"""Drift detection on camera images and model predictions."""
