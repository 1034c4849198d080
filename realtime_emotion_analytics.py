"""Read expressions live: the same as ``mien live``."""

if __name__ == "__main__":
    from mien.start import main

    main("live")
