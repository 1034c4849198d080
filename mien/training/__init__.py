"""Training: network, augmentation, training loop and export. The only package that needs PyTorch."""
