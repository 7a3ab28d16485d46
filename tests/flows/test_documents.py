"""Documents served without a token: OpenAPI, the page that shows it, and the wellknown page."""

import re
from html.parser import HTMLParser
from importlib.resources import files
from urllib.parse import urljoin, urlsplit

import pytest

from secaplane.edge.documents import swagger
from secaplane.edge.documents.swagger import FILES
from secaplane.kinds import PROVIDERS
from secaplane.kinds.views import AUDIT
from tests.flows.client import Client
from tests.flows.dev_plane import DevDetails

DOCUMENTS = ["/openapi.json", *(f"/openapi/{name}.json" for name in (*PROVIDERS, AUDIT.name))]
WELLKNOWN = ["/.wellknown/secapi", "/.well-known/secapi"]
FIXED = [*DOCUMENTS, *WELLKNOWN, *FILES]
CSS_URL = re.compile(r"url\(\s*[\"']?([^\"')]+)")
STARTED_WITH = re.compile(r'url: "([^"]+)"')


@pytest.mark.parametrize("path", FIXED)
async def test_a_document_is_served_without_a_token_and_again_only_when_changed(
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


async def test_the_whole_document_links_to_one_for_every_provider(
    client: Client, details: DevDetails
) -> None:
    whole = (await client.get("/openapi.json", token=None)).json
    linked = {tag["externalDocs"]["url"] for tag in whole["tags"]}
    assert linked == {f"{details.url}{path}" for path in DOCUMENTS[1:]}
    assert whole["servers"] == [{"url": details.url}]


async def test_a_document_refers_to_no_other_document(client: Client) -> None:
    for path in DOCUMENTS:
        text = (await client.get(path, token=None)).body.decode()
        assert set(re.findall(r'"\$ref":"([^"#]*)#', text)) == {""}


# --- the wellknown page


@pytest.mark.parametrize("path", WELLKNOWN)
async def test_the_wellknown_page_lists_the_global_providers(
    client: Client, details: DevDetails, path: str
) -> None:
    served = {"seca.region/v1", "seca.authorization/v1", "seca.object-storage/v1beta1"}
    document = (await client.get(path, token=None)).json
    assert document["version"] == "v1"
    assert {each["provider"] for each in document["endpoints"]} == served
    for each in document["endpoints"]:
        name, version = each["provider"].split("/")
        assert each["url"] == f"{details.url}/providers/{name}"
        assert f"{each['url']}/{version}/".startswith(details.url)
    (region,) = [each for each in document["endpoints"] if each["provider"] == "seca.region/v1"]
    path = region["url"].removeprefix(details.url)
    assert (await client.get(f"{path}/v1/regions")).status == 200


# --- the page


class _References(HTMLParser):
    """Collects every URL that a page loads or links to, and its inline scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.inline = ""
        self._tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.urls += [value for key in ("src", "href") if (value := values.get(key))]
        self._tag = tag
        assert not any(key.startswith("on") or key == "style" for key in values)

    def handle_data(self, data: str) -> None:
        if self._tag in ("script", "style"):
            self.inline += data.strip()


async def test_the_page_loads_everything_from_the_control_plane(
    client: Client, details: DevDetails
) -> None:
    page = await client.get("/docs", token=None)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    read = _References()
    read.feed(page.body.decode())
    assert read.inline == ""
    start = (await client.get("/docs/start.js", token=None)).body.decode()
    css = (await client.get("/docs/swagger-ui.css", token=None)).body.decode()
    references = [*read.urls, *STARTED_WITH.findall(start)]
    references += [urljoin("/docs/", each) for each in CSS_URL.findall(css)]
    seen = set()
    for each in references:
        if each.startswith("data:"):
            continue
        target = urlsplit(urljoin(f"{details.url}/docs", each))
        assert f"{target.scheme}://{target.netloc}" == details.url
        assert (await client.get(target.path, token=None)).status == 200
        seen.add(target.path)
    assert seen == {"/openapi.json", *FILES} - {"/docs"}


async def test_the_content_security_policy_allows_only_the_control_plane(client: Client) -> None:
    policy = (await client.get("/docs", token=None)).headers["Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    allowed = {source for rule in rules.values() for source in rule.split()}
    assert allowed == {"'none'", "'self'", "data:"}
    assert (rules["script-src"], rules["connect-src"]) == ("'self'", "'self'")


def test_third_party_files_have_their_licence_beside_them() -> None:
    folder = files(swagger) / "swagger"
    names = {each.name for each in folder.iterdir()}
    assert {"LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"} < names
    assert "Apache License" in (folder / "LICENSE").read_text()
