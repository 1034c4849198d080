"""See what is ready, do what is missing, go live: the same as ``mien system``."""

if __name__ == "__main__":
    from mien.cli import main

    main("system")
