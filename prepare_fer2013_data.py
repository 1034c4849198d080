"""Audit FER2013: the same as ``mien prepare``."""

if __name__ == "__main__":
    from mien.start import main

    main("prepare")
