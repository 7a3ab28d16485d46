"""`secaplane audit report` on the export of real streams that a notary has signed."""

import json
from pathlib import Path
from typing import Any

from secaplane.audit.entries import EntryCaller, entry
from secaplane.audit.stream import PendingEntry
from tests.flows.notarizing import AUDIT, NotaryScene, ended, notary_scene
from tests.log.new_events import ELSEWHERE, NOON
from tests.servers import STREAM

SKUS = "/providers/seca.compute/v1/tenants/acme/skus"


async def test_an_auditor_gets_a_page_of_one_tenant_that_was_verified(tmp_path: Path) -> None:
    async with notary_scene(tmp_path) as scene:
        await scene.append(300)
        await scene.append(5, ELSEWHERE)
        await refuse(scene, "acme", "other", "acme")
        with ended(scene.start()):
            await scene.signed(STREAM, 305)
            await scene.signed(AUDIT, 4)  # with the entry about its own start
        scene.folder.joinpath("policy").write_text(scene.policy)
        exported = scene.secaplane("audit", "export", str(scene.folder / "export"))
        assert exported.returncode == 0, exported.stderr

        the_page_and_the_numbers_are_of_the_tenant_alone(scene)
        without_an_export_one_is_made_and_removed(scene)
        a_window_without_events_is_empty_and_verified(scene)
        wrong_times_and_a_full_folder_are_refused(scene)
        a_changed_export_is_reported_as_wrong(scene)


async def refuse(scene: NotaryScene, *tenants: str) -> None:
    for number, tenant in enumerate(tenants):
        made = entry(
            "forbidden",
            time=NOON,
            request=f"r{number}",
            client_address="192.0.2.1",
            caller=EntryCaller("https://idp", "mallory"),
            verb="get",
            path=SKUS.replace("acme", tenant),
            reason="no role assignment",
        )
        await scene.audit.publish([PendingEntry(f"m{number}", made)])


def the_page_and_the_numbers_are_of_the_tenant_alone(scene: NotaryScene) -> None:
    done = report(scene, "first", "--export", scene.folder / "export")
    assert done == 3, "no policy: some attacks cannot be seen"
    policy = ("--policy", scene.folder / "policy")
    assert report(scene, "second", "--export", scene.folder / "export", *policy) == 3
    page, data = read(scene, "second")
    assert data["counts"]["accepted"] == 300
    assert data["counts"]["refused"] == 2
    assert data["counts"]["gaps"] == 0
    assert {each["sub"] for each in data["callers"]} == {"jane", "mallory"}
    assert len(data["records"]) == 302
    assert all(each["resource"]["tenant"] == "acme" for each in data["records"])
    assert "tenants/other" not in page
    assert "None is missing" in page
    assert f"audit.example/{STREAM}" in page


def without_an_export_one_is_made_and_removed(scene: NotaryScene) -> None:
    assert report(scene, "third", "--policy", scene.folder / "policy") == 3
    _, data = read(scene, "third")
    assert data["counts"]["accepted"] == 300


def a_window_without_events_is_empty_and_verified(scene: NotaryScene) -> None:
    window = ("--from", "2020-01-01T00:00:00Z", "--to", "2020-02-01T00:00:00Z")
    assert report(scene, "fourth", "--export", scene.folder / "export", *window) == 3
    _, data = read(scene, "fourth")
    assert (data["records"], data["counts"]["accepted"]) == ([], 0)
    assert data["evidence"]["streams"][0]["size"] == 305


def wrong_times_and_a_full_folder_are_refused(scene: NotaryScene) -> None:
    inside = scene.folder / "export" / "policy"
    for arguments in (
        ("fifth", "--from", "1h", "--to", "2h"),
        ("fifth", "--from", "yesterday"),
        ("fifth", "--export", scene.folder / "export", "--policy", inside),
        ("second", "--export", scene.folder / "export"),
    ):
        assert report(scene, *arguments) not in (0, 1, 3), arguments


def a_changed_export_is_reported_as_wrong(scene: NotaryScene) -> None:
    events = scene.folder / "export" / STREAM / "events/000"
    events.write_bytes(events.read_bytes().replace(b'"sizeGB":10', b'"sizeGB":99', 1))
    assert report(scene, "sixth", "--export", scene.folder / "export") == 1
    page, data = read(scene, "sixth")
    assert "None is missing" not in page
    assert data["evidence"]["wrong"] == [f"{STREAM}: {STREAM}:1 is changed"]


def report(scene: NotaryScene, name: str, *arguments: object) -> int:
    options = [str(each) for each in arguments]
    place = str(scene.folder / "reports" / name)
    return scene.secaplane("audit", "report", place, "--tenant", "acme", *options).returncode


def read(scene: NotaryScene, name: str) -> tuple[str, dict[str, Any]]:
    folder = scene.folder / "reports" / name
    return (folder / "report.html").read_text(), json.loads((folder / "report.json").read_bytes())
