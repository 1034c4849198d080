"""The notice that learners read before they join a class, and to which their consent refers."""

from __future__ import annotations

from typing import Final

from mien.privacy.deployment import PURPOSES, Deployment
from mien.privacy.lesson_bins import MAX_SIGNALS, SIGNALS, LessonPlan
from mien.privacy.notice import OPEN, UNDER_18, Notice

_READ: Final = {
    True: "A program in this page estimates which of seven expressions your face shows, and whether your head points at the "
    "screen. It is often wrong, and an expression is not a feeling.",
    False: "A program in this page notes whether a face is there and whether the head points at the screen. It does not read "
    "your expression.",
}
_SENT: Final = {
    True: "the seconds in which your face was measured, the seconds by expression and the seconds facing the screen",
    False: "the seconds in which your face was measured and the seconds facing the screen",
}

_COURSE: Final = (
    " If you come from your course, the server computes a code from your id in the learning platform, with a secret key, so "
    "that you are counted once. The code differs from class to class. It is deleted when the lesson ends, even if you leave "
    "earlier."
)


def class_notice(deployment: Deployment, plan: LessonPlan, retention_days: int, host: Deployment | None = None) -> Notice:
    """Return the notice of a class; what the declarations leave open is marked for the operator.

    Args:
        deployment: the declaration of the institution that is responsible for the class. The default of a computer without a
            declaration means a trial, for which nobody is responsible.
        plan: the plan of the lesson.
        retention_days: days after which the published numbers are erased.
        host: the declaration for the server itself, if the class is opened from a learning platform; None for others.
    """
    bin_text = f"{plan.bin_s // 60} minutes" if plan.bin_s % 60 == 0 and plan.bin_s > 60 else f"{plan.bin_s} seconds"
    lines = [
        *_responsible(deployment),
        f"On your device: {_READ[plan.expressions]} The camera picture never leaves this page.",
        f"Sent: every 10 seconds one message of at most 300 bytes with {_SENT[plan.expressions]}. Also your own signals "
        f"({', '.join(SIGNALS)}), if you press them; they count at most {MAX_SIGNALS} times in a lesson. Nothing is sent while "
        "no face is read, except a signal. You can see each message word for word.",
        "Who you are: the server does not know. You get a random name that is deleted when the lesson ends. There is no account "
        f"and no cookie.{'' if host is None else _COURSE}",
        f"What teachers see: sums over all participants for every {bin_text}, with random noise, and only if the noisy number of "
        f"people is {plan.k} or more. The noise limits what anybody can learn about you from a whole lesson, whatever they know "
        f"about the others (zero-concentrated differential privacy, rho {plan.budget:g}).",
        f"Kept: your messages are deleted when they have been added up, after {bin_text} at the latest while the server runs. "
        f"The published sums are erased after {retention_days} days.",
        "Your choice: joining is voluntary, and teachers are not told who joined. You may pause at any time. You may also "
        "leave; this erases your messages that have not been added up yet. What has been added up cannot be taken out, because "
        "nobody can tell whose it was.",
        f"The operator of the server{_named(deployment, host)} can read the messages of the current interval until they are "
        "added up. You have to trust them not to.",
    ]
    if deployment.minors or (host is not None and host.minors):
        lines.append(UNDER_18)
    return Notice("\n".join(lines) + "\n")


def _responsible(deployment: Deployment) -> list[str]:
    """Return who is responsible for a class, and its purpose."""
    if not deployment.declared:
        return [
            "Who: This is a trial on this computer; nobody has declared responsibility for it.",
            "What for: to try out the class server.",
        ]
    operator = deployment.operator or OPEN.format("who decides about this and answers for it")
    contact = deployment.contact or OPEN.format("how to reach them")
    return [
        f"Who: {operator}. Ask, complain or change your mind: {contact}.",
        f"What for: {PURPOSES.get(deployment.purpose, 'a use that is refused')}.",
    ]


def _named(deployment: Deployment, host: Deployment | None) -> str:
    """Return who runs the server, in parentheses; "" if they are not declared or are responsible for the class as well."""
    if host is None or not host.operator or host.operator == deployment.operator:
        return ""
    return f" ({host.operator}, {host.contact})"
