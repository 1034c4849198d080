"""``python -m mien``: the same door as the console script ``mien``."""

from mien.cli import main

if __name__ == "__main__":
    main()
