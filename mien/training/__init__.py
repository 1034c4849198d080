"""Learning a model: the only package that needs PyTorch."""
