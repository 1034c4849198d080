"""Views of a live session: a window, the terminal, and screenshots."""
