"""The papers that a deployment needs, written from its real configuration, with what is open marked."""

from __future__ import annotations

from mien.privacy.ai_act import worksheet_text
from mien.privacy.dpia import dpia_text, record_text
from mien.privacy.notice import notice_for
from mien.privacy.paper_parts import Facts, plain


def papers(facts: Facts) -> dict[str, str]:
    """Return the papers in Markdown by file name."""
    return {
        "dpia.md": dpia_text(facts),
        "record_of_processing.md": record_text(facts),
        "notice_for_learners.md": notice_text(facts),
        "ai_act_worksheet.md": worksheet_text(facts),
    }


def notice_text(facts: Facts) -> str:
    """Return the notice for learners on a page; its words are those that consent is given to."""
    notice = notice_for(facts.policy)
    title, *paragraphs = [plain(line) for line in notice.text.splitlines() if line]
    body = []
    for paragraph in paragraphs:
        word, colon, rest = paragraph.partition(":")
        body.append(f"**{word}:**{rest}" if colon and len(word.split()) <= 4 else paragraph)
    return f"# {title}\n\n" + "\n\n".join(body) + f"\n\nVersion {notice.version}\n"
