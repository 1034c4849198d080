"""A launch of a class from a learning platform, and the protocol for opening the class."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from mien.privacy.deployment import Deployment


class Role(StrEnum):
    """The user's role in a launch.

    Attributes:
        TEACHER: sees the class.
        LEARNER: joins the class.
    """

    TEACHER = "teacher"
    LEARNER = "learner"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One launch of a class from a course, without names and without the platform's user ids.

    Attributes:
        platform: id of the platform's registration.
        deployment: the platform's id for the installation of the tool.
        context: the platform's id of the course; "" if it sent none.
        resource: the platform's id of the link in the course.
        title: title of the link or of the course; "" if it sent none.
        role: teacher or learner.
        language: language tag of the user's interface, such as ``de`` or ``pt-BR``; "" if it sent none.
        person: keyed hash of the user within this course, 32 hexadecimal digits. It is the same for all launches
            of a user in this course, and unrelated to their hashes in other courses.
        declaration: the institution's declaration, which permits observables at least.
    """

    platform: str
    deployment: str
    context: str
    resource: str
    title: str
    role: Role
    language: str
    person: str
    declaration: Deployment


class OpenClass(Protocol):
    """Opens the class of a link in a course."""

    def __call__(self, launch: Launch, /) -> str:
        """Return the address to which the browser is redirected, a path of this server such as ``/teach#TOKEN``.

        Called in a worker thread after the launch was verified.

        Raises:
            MienError: the class cannot be opened; the message is shown to the user.
        """
        ...
