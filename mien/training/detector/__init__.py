"""Training of ``mien-detect``, the face detector in the package: composed scenes, network, losses, loop and export."""
