"""Evaluation of bundles: scores, reports and explanations."""
