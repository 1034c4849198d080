"""Drafts of the documents that a deployment needs, generated from its configuration, with open points marked."""

from __future__ import annotations

from mien.privacy.ai_act import worksheet_text
from mien.privacy.document_parts import Facts, plain
from mien.privacy.dpia import dpia_text, record_text
from mien.privacy.notice import notice_for


def deployment_documents(facts: Facts) -> dict[str, str]:
    """Return the documents in Markdown by file name."""
    return {
        "dpia.md": dpia_text(facts),
        "record_of_processing.md": record_text(facts),
        "notice_for_learners.md": notice_text(facts),
        "ai_act_worksheet.md": worksheet_text(facts),
    }


def notice_text(facts: Facts) -> str:
    """Return the notice for learners in Markdown; its text is the one that people consent to."""
    notice = notice_for(facts.policy)
    title, *paragraphs = [plain(line) for line in notice.text.splitlines() if line]
    body = []
    for paragraph in paragraphs:
        word, colon, rest = paragraph.partition(":")
        body.append(f"**{word}:**{rest}" if colon and len(word.split()) <= 4 else paragraph)
    return f"# {title}\n\n" + "\n\n".join(body) + f"\n\nVersion {notice.version}\n"
