"""What the house says of itself without a token: its OpenAPI documents, the page that shows them,
and the wellknown page."""

import re
from html.parser import HTMLParser
from importlib.resources import files
from urllib.parse import urljoin, urlsplit

import pytest

from secaplane.edge.documents import swagger
from secaplane.edge.documents.swagger import FILES
from secaplane.kinds import PROVIDERS
from tests.flows.client import Client
from tests.flows.dev_plane import DevDetails

DOCUMENTS = ["/openapi.json", *(f"/openapi/{name}.json" for name in PROVIDERS)]
WELLKNOWN = ["/.wellknown/secapi", "/.well-known/secapi"]
FIXED = [*DOCUMENTS, *WELLKNOWN, *FILES]
CSS_URL = re.compile(r"url\(\s*[\"']?([^\"')]+)")
STARTED_WITH = re.compile(r'url: "([^"]+)"')


@pytest.mark.parametrize("path", FIXED)
async def test_it_is_answered_without_a_token_and_read_again_only_when_it_changed(
    client: Client, path: str
) -> None:
    whole = await client.get(path, token=None)
    assert (whole.status, whole.headers["Cache-Control"]) == (200, "no-cache")
    again = await client.get(path, token=None, If_None_Match=whole.headers["ETag"])
    assert (again.status, again.body) == (304, b"")
    head = await client.head(path, token=None)
    assert (head.status, head.headers["ETag"]) == (200, whole.headers["ETag"])
    assert head.headers["Content-Length"] == str(len(whole.body))
    refused = await client.ask("PUT", path, token=None)
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")


# --- the documents


async def test_every_provider_has_a_document_that_the_whole_one_links_to(
    client: Client, details: DevDetails
) -> None:
    whole = (await client.get("/openapi.json", token=None)).json
    linked = {tag["externalDocs"]["url"] for tag in whole["tags"]}
    assert linked == {f"{details.url}{path}" for path in DOCUMENTS[1:]}
    assert whole["servers"] == [{"url": details.url}]


async def test_a_document_needs_nothing_but_itself(client: Client) -> None:
    for path in DOCUMENTS:
        text = (await client.get(path, token=None)).body.decode()
        assert set(re.findall(r'"\$ref":"([^"#]*)#', text)) == {""}


# --- the wellknown page


@pytest.mark.parametrize("path", WELLKNOWN)
async def test_the_wellknown_page_lists_the_global_providers(
    client: Client, details: DevDetails, path: str
) -> None:
    served = {"seca.region/v1", "seca.authorization/v1", "seca.object-storage/v1beta1"}
    found = (await client.get(path, token=None)).json
    assert found["version"] == "v1"
    assert {each["provider"] for each in found["endpoints"]} == served
    for each in found["endpoints"]:
        name, version = each["provider"].split("/")
        assert each["url"] == f"{details.url}/providers/{name}"
        assert f"{each['url']}/{version}/".startswith(details.url)
    (region,) = [each for each in found["endpoints"] if each["provider"] == "seca.region/v1"]
    path = region["url"].removeprefix(details.url)
    assert (await client.get(f"{path}/v1/regions")).status == 200


# --- the page


class _References(HTMLParser):
    """All that a page loads or leads to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline = ""
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.found += [value for key in ("src", "href") if (value := values.get(key))]
        self._within = tag
        assert not any(key.startswith("on") or key == "style" for key in values)

    def handle_data(self, data: str) -> None:
        if self._within in ("script", "style"):
            self.inline += data.strip()


async def test_all_that_the_page_loads_comes_from_the_house(
    client: Client, details: DevDetails
) -> None:
    page = await client.get("/docs", token=None)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    read = _References()
    read.feed(page.body.decode())
    assert read.inline == ""
    start = (await client.get("/docs/start.js", token=None)).body.decode()
    css = (await client.get("/docs/swagger-ui.css", token=None)).body.decode()
    wanted = [*read.found, *STARTED_WITH.findall(start)]
    wanted += [urljoin("/docs/", each) for each in CSS_URL.findall(css)]
    seen = set()
    for each in wanted:
        if each.startswith("data:"):
            continue
        target = urlsplit(urljoin(f"{details.url}/docs", each))
        assert f"{target.scheme}://{target.netloc}" == details.url
        assert (await client.get(target.path, token=None)).status == 200
        seen.add(target.path)
    assert seen == {"/openapi.json", *FILES} - {"/docs"}


async def test_the_browser_is_told_to_load_nothing_else(client: Client) -> None:
    policy = (await client.get("/docs", token=None)).headers["Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    allowed = {source for rule in rules.values() for source in rule.split()}
    assert allowed == {"'none'", "'self'", "data:"}
    assert (rules["script-src"], rules["connect-src"]) == ("'self'", "'self'")


def test_what_is_not_ours_lies_beside_its_licence() -> None:
    folder = files(swagger) / "swagger"
    names = {each.name for each in folder.iterdir()}
    assert {"LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"} < names
    assert "Apache License" in (folder / "LICENSE").read_text()
