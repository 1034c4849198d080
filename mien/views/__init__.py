"""How a live session is shown: a window, the terminal, or a picture of either."""
