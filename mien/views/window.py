"""The live view in a window.

pygame-ce only shows images and reads keys; ``dashboard`` renders them. Only pygame's display module
is initialised, since its audio fails on computers without a sound card.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from mien.errors import DeviceError
from mien.records import Frame, Snapshot
from mien.views.dashboard import render
from mien.views.view import Command

_SMALLEST: Final = (320, 240)


def screen_available() -> bool:
    """Return whether a window can probably be opened: on Linux, whether the environment names a display."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"))


class Window:
    """A resizable window with the live view.

    Args:
        caption: title of the window.
        size: initial width and height in pixels.

    Raises:
        DeviceError: pygame-ce is not installed, or there is no screen.
    """

    stays = True

    def __init__(self, caption: str = "Mien", size: tuple[int, int] = (1100, 620)) -> None:
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        try:
            import pygame
        except ImportError as error:
            raise DeviceError(
                f"the live window needs the package pygame-ce. Install it with: {sys.executable} -m pip install pygame-ce"
            ) from error
        self._pygame = pygame
        if not screen_available():  # SDL would open an invisible window on a dummy display
            raise DeviceError("no screen to open a window on (no DISPLAY is set). Use --view terminal or --headless")
        try:
            pygame.display.init()
            pygame.display.set_caption(caption)
            pygame.display.set_mode(size, pygame.RESIZABLE)
        except pygame.error as error:
            pygame.display.quit()
            raise DeviceError(f"no screen to open a window on ({error}). Use --view terminal or --headless") from error
        self._helping = False
        self._drawn: object = None
        self._commands = {ord(command.value): command for command in Command} | {pygame.K_ESCAPE: Command.QUIT}

    def show(self, frame: Frame, snapshot: Snapshot) -> tuple[Command, ...]:
        """Draw the newest state at the window's size; return the commands of keys and of the close button."""
        pygame = self._pygame
        commands = []
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                commands.append(Command.QUIT)
            elif event.type == pygame.KEYDOWN and event.key in self._commands:
                commands.append(self._commands[event.key])
        if Command.HELP in commands:
            self._helping = not self._helping
        surface = pygame.display.get_surface()
        if surface is not None and self._is_new(frame, snapshot, surface.get_size()):
            width, height = (max(side, least) for side, least in zip(surface.get_size(), _SMALLEST, strict=True))
            picture = render(frame, snapshot, (width, height), helping=self._helping)
            surface.blit(pygame.image.frombuffer(picture.tobytes(), (width, height), "RGB"), (0, 0))
            pygame.display.flip()
        return tuple(command for command in commands if command is not Command.HELP)

    def _is_new(self, frame: Frame, snapshot: Snapshot, size: tuple[int, int]) -> bool:
        """Return whether the view has changed since it was last drawn."""
        state = (
            snapshot.health.state,
            int(snapshot.health.since_s),
            snapshot.notice,
            snapshot.paused,
            snapshot.distribution.tobytes(),
        )
        drawn = (frame.t_s, snapshot.frames, size, self._helping, state)
        self._drawn, before = drawn, self._drawn
        return drawn != before

    def close(self) -> None:
        self._pygame.display.quit()
