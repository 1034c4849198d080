"""Train a model on FER2013: the same as ``mien train``."""

if __name__ == "__main__":
    from mien.start import main

    main("train")
