"""Score a model on a test split: the same as ``mien evaluate``."""

if __name__ == "__main__":
    from mien.start import main

    main("evaluate")
