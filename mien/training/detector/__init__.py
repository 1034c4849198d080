"""Training of ``mien-detect``, the packaged face detector: synthetic scenes, network, losses, training loop and export."""
