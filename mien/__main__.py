"""``python -m mien``: the same as the console script ``mien``."""

from mien.start import main

if __name__ == "__main__":
    main()
