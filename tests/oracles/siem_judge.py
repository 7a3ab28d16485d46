"""Libraries of others read events of the export to a SIEM: pycadf of OpenStack, and the SDK of
CloudEvents. A program of its own, run in an environment that has them (`make oracles`):

    python siem_judge.py cadf|cloudevents < EVENTS     one JSON object a line

It prints `valid: <number>`, or the first event that they refuse, and why.
"""

import json
import sys
from collections.abc import Iterable
from typing import Any

Event = dict[str, Any]


def judge_cloudevents(lines: Iterable[str]) -> int:
    from cloudevents.core.bindings.http import HTTPMessage, from_structured_event

    number = 0
    for line in lines:
        number += 1
        headers = {"content-type": "application/cloudevents+json"}
        read = from_structured_event(HTTPMessage(headers, line.encode()))
        written = json.loads(line)
        assert read.get_id() == written["id"], line
        assert read.get_type() == written["type"], line
        assert read.get_source() == written["source"], line
        assert read.get_subject() == written.get("subject"), line
        assert read.get_data() == written["data"], line
    return number


def judge_cadf(lines: Iterable[str]) -> int:
    number = 0
    for line in lines:
        number += 1
        written = json.loads(line)
        read = _cadf(written)
        assert read.is_valid(), line
        assert read.initiator.is_valid(), line
        assert read.target.is_valid(), line
        assert read.observer.is_valid(), line
    return number


def _cadf(written: Event) -> Any:
    """Each constructor refuses a value that is not in the vocabulary of the standard."""
    from pycadf import attachment, event, tag

    reads = event.Event(
        eventType=written["eventType"],
        id=written["id"],
        eventTime=written["eventTime"],
        action=written["action"],
        outcome=written["outcome"],
        initiator=_resource(written["initiator"]),
        target=_resource(written["target"]),
        observer=_resource(written["observer"]),
        reason=_reason(written.get("reason")),
    )
    assert reads.typeURI == written["typeURI"], written
    for each in written.get("tags", ()):
        assert tag.is_valid(each), each
        reads.add_tag(each)
    for each in written.get("attachments", ()):
        reads.add_attachment(
            attachment.Attachment(each["contentType"], each["content"], each["name"])
        )
    return reads


def _resource(written: Event) -> Any:
    from pycadf import credential, host, resource

    named = written.get("host")
    token = (written.get("credential") or {}).get("token")
    return resource.Resource(
        id=written["id"],
        typeURI=written["typeURI"],
        name=written.get("name"),
        host=host.Host(address=named.get("address"), agent=named.get("agent")) if named else None,
        credential=credential.Credential(token=token) if token else None,
    )


def _reason(written: Event | None) -> Any:
    from pycadf import reason

    if written is None:
        return None
    return reason.Reason(reasonType=written["reasonType"], reasonCode=written["reasonCode"])


def main() -> None:
    judge = {"cadf": judge_cadf, "cloudevents": judge_cloudevents}[sys.argv[1]]
    print(f"valid: {judge(line for line in sys.stdin if line.strip())}")


if __name__ == "__main__":
    main()
