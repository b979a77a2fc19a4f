"""Solvers of JSON edits and of finding a fact in a message."""

import json
import re

from tests.local.solvers.solution import Solution, language_of

_EDITS = (
    ("set", r'- set "(\w+)" to (.+)'),
    ("set", r'- "(\w+)"を(.+)に変更する'),
    ("remove", r'- (?:remove )?"(\w+)"(?:を削除する)?()$'),
    ("rename", r'- (?:rename the key|キー) ?"(\w+)"(?: to |の名前を)"(\w+)"'),
    ("raise", r'- increase "(\w+)" by (\d+)'),
    ("raise", r'- "(\w+)"を(\d+)増やす'),
)


def json_edit(text: str) -> Solution | None:
    if "{" not in text:
        return None
    record, _ = json.JSONDecoder().raw_decode(text[text.index("{") :])
    edits = [line for line in text.splitlines() if line.startswith("- ")]
    for line in edits:
        _edit(record, line)
    answer = json.dumps(record, ensure_ascii=False)
    return Solution("json_edit", language_of(text), len(edits), answer)


def _edit(record: dict[str, object], line: str) -> None:
    name, key, value = next(
        (name, found[1], found[2]) for name, pattern in _EDITS if (found := re.match(pattern, line))
    )
    old = record.pop(key)
    if name == "set":
        record[key] = json.loads(value)
    elif name == "rename":
        record[value] = old
    elif name == "raise" and isinstance(old, int):
        record[key] = old + int(value)


_FACTS = {
    ("the order number", "注文番号"): r"(?:order number is |注文番号は)([A-E]-\d{4})",
    ("the phone extension", "内線番号"): r"(?:extension |内線は)(\d{4})",
    ("the email address", "メールアドレス"): r"([a-z0-9]+@[a-z.]+[a-z])",
    ("the seat number", "座席番号"): r"(?:seat |座席は)(\d+[A-H])",
    ("the meeting room", "打ち合わせの部屋番号"): r"(?:in room |打ち合わせは)([NSEW]\d{3})",
    ("the invoice amount in yen", "請求額(円)"): r"(?:comes to |請求額は)([\d,]+)",
    ("the flight number", "便名"): r"(?:on flight |飛行機は)([A-Z]{2}\d+)",
    ("the door code", "入口の暗証番号"): r"(?:code for the door is |暗証番号は)(\d{4}#)",
}


def extraction(text: str) -> Solution | None:
    if "message" not in text and "メッセージ" not in text:
        return None
    values, wanted = [], None
    for (english, japanese), pattern in _FACTS.items():
        found = re.search(pattern, text)
        if found is None:
            continue
        values.append(found[1])
        asked = rf"(?:Find|pick out|extract) {re.escape(english)}|"
        asked += rf"(?:から|んで、|ている){re.escape(japanese)}を(?:抜き出|見つけ)"
        if re.search(asked, text):
            wanted = found[1]
    if wanted is None:
        return None
    rivals = tuple(value for value in values if value != wanted)
    return Solution("extraction", language_of(text), len(values) - 1, wanted, rivals)
