"""Check FER2013 and describe it: the same as ``mien prepare``."""

if __name__ == "__main__":
    from mien.cli import main

    main("prepare")
