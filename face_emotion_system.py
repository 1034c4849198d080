"""Say what is ready and start a live session, or run the whole workflow with --all: the same as ``mien system``."""

if __name__ == "__main__":
    from mien.start import main

    main("system")
