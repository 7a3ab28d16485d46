"""References: the address that each spelling means, and the target that must exist
(docs/reference/api.md)."""

import re
from collections.abc import Mapping

import hypothesis
import pytest
from hypothesis import strategies as st

from secaplane.command.gather.rights import referenced_refs
from secaplane.command.rules.commands import Put
from secaplane.command.rules.context import SiteRules
from secaplane.command.rules.references import always_exists
from secaplane.kinds import KINDS, SHARED_TENANT, log_ref
from secaplane.kinds.references import references_in, targets_of
from secaplane.model.errors import Invalid
from secaplane.model.events import Created, DeletionRequested, Updated
from secaplane.model.kind import Kind
from secaplane.model.reference import resolve
from secaplane.model.shape import Json, Ref, Resource
from tests.scenario import IDS, from_catalogue, given, lived

REGION = "eu-1"
TARGETS = [
    KINDS[name] for name in sorted({t for k in KINDS.values() for x in k.links for t in x.to})
]
FLAT = [kind for kind in TARGETS if set(kind.scope) <= {"tenant", "workspace"}]
NAME = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,9}[a-z0-9])?(\.[a-z0-9]{1,3})?", fullmatch=True)
SCOPES = st.fixed_dictionaries(
    {each: NAME for each in ("tenant", "workspace", "network", "cluster")}
)


def beside(kind: Kind, ids: Mapping[str, str]) -> Ref:
    """A home in the same scope."""
    return kind.ref(ids, "home")


def suffixes(urn: str) -> list[str]:
    steps = urn.split("/")
    return ["/".join(steps[n:]) for n in range(len(steps))]


# --- every spelling


@hypothesis.given(kind=st.sampled_from(TARGETS), ids=SCOPES, name=NAME)
def test_every_suffix_of_a_urn_means_the_same_from_beside(
    kind: Kind, ids: dict[str, str], name: str
) -> None:
    ref, home = kind.ref(ids, name), beside(kind, ids)
    for suffix in suffixes(kind.urn(ref)):
        assert resolve({"resource": suffix}, kind, home, region=REGION) == ref


@hypothesis.given(kind=st.sampled_from(FLAT), ids=SCOPES, away=SCOPES, name=NAME)
def test_the_fields_of_a_reference_complete_a_suffix(
    kind: Kind, ids: dict[str, str], away: dict[str, str], name: str
) -> None:
    ref, home = kind.ref(ids, name), KINDS["instance"].ref(away, "home")
    fields = {"tenant": ids["tenant"], "workspace": ids["workspace"]}
    for suffix in suffixes(kind.urn(ref)):
        for provider in ("", kind.provider.name, kind.provider.full_name):
            for region in ("", REGION):
                said = {"resource": suffix, "provider": provider, "region": region, **fields}
                assert resolve(said, kind, home, region=REGION) == ref


@hypothesis.given(kind=st.sampled_from(TARGETS), ids=SCOPES, away=SCOPES, name=NAME)
def test_a_partial_reference_is_completed_from_the_referring_resource(
    kind: Kind, ids: dict[str, str], away: dict[str, str], name: str
) -> None:
    """Another tenant is named, and its workspace and network are the home's."""
    home, tenants = beside(kind, ids), {"tenant": away["tenant"]}
    wanted = kind.ref(ids | tenants, name)
    plain = f"{kind.collection.rpartition('/')[2]}/{name}"
    assert resolve({"resource": plain, **tenants}, kind, home) == wanted


@hypothesis.given(kind=st.sampled_from(TARGETS), ids=SCOPES, name=NAME)
def test_a_collection_may_be_named_after_its_kind_and_a_provider_without_version(
    kind: Kind, ids: dict[str, str], name: str
) -> None:
    ref, home = kind.ref(ids, name), beside(kind, ids)
    above = ref.path.rpartition("/")[0].rpartition("/")[0]
    called = f"{kind.name}s/{name}"
    for suffix in suffixes(f"{kind.provider.full_name}/{above}/{called}".replace("//", "/"))[:-1]:
        assert resolve({"resource": suffix}, kind, home) == ref
    assert resolve({"resource": f"{kind.provider.name}/{ref.path}"}, kind, home) == ref


# --- references that mean nothing


@hypothesis.given(kind=st.sampled_from(TARGETS), ids=SCOPES, name=NAME)
def test_a_reference_to_another_region_or_provider_means_nothing(
    kind: Kind, ids: dict[str, str], name: str
) -> None:
    said, home = {"resource": name}, beside(kind, ids)
    assert resolve(said | {"region": "eu-9"}, kind, home, region=REGION) is None
    for other in ("seca.nope", f"{kind.provider.name}/v9", "seca", "/"):
        assert resolve(said | {"provider": other}, kind, home) is None
        whole = f"{other}/{kind.ref(ids, name).path}"
        assert resolve({"resource": whole}, kind, home) is None


@hypothesis.given(kind=st.sampled_from(FLAT), ids=SCOPES, other=NAME, name=NAME)
def test_a_reference_that_contradicts_itself_means_nothing(
    kind: Kind, ids: dict[str, str], other: str, name: str
) -> None:
    for field in set(kind.scope) & {"tenant", "workspace"}:
        hypothesis.assume(other != ids[field])
        said = {"resource": kind.ref(ids, name).path, field: other}
        assert resolve(said, kind, beside(kind, ids)) is None


@hypothesis.given(kind=st.sampled_from(TARGETS), ids=SCOPES, name=NAME)
def test_the_collection_of_another_kind_means_nothing(
    kind: Kind, ids: dict[str, str], name: str
) -> None:
    mine = {kind.collection.rpartition("/")[2], f"{kind.name}s"}
    for other in TARGETS:
        collection = other.collection.rpartition("/")[2]
        if collection not in mine:
            said = {"resource": f"{collection}/{name}"}
            assert resolve(said, kind, beside(kind, ids)) is None


def test_a_missing_scope_is_not_guessed() -> None:
    image, nic = Ref("image", "tenants/acme/images/i"), KINDS["nic"].ref(IDS, "n")
    assert resolve({"resource": "block-storages/d"}, KINDS["block-storage"], image) is None
    assert resolve({"resource": "subnets/s"}, KINDS["subnet"], nic) is None
    volume = resolve({"resource": "d", "workspace": "web"}, KINDS["block-storage"], image)
    assert volume == KINDS["block-storage"].ref(IDS, "d")
    subnet = resolve({"resource": "networks/net/subnets/s"}, KINDS["subnet"], nic)
    assert subnet == KINDS["subnet"].ref(IDS, "s")


@hypothesis.given(kind=st.sampled_from(TARGETS), ids=SCOPES, name=NAME)
def test_where_names_are_listed_a_path_means_nothing(
    kind: Kind, ids: dict[str, str], name: str
) -> None:
    ref, home = kind.ref(ids, name), beside(kind, ids)
    assert resolve(name, kind, home) == ref
    for path in suffixes(kind.urn(ref))[:-1]:
        assert resolve(path, kind, home) is None


PIECES = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["", "*", ".", "..", "tenants", "workspaces", "networks", "v1", "\0", "%2F"]),
    st.sampled_from([kind.provider.name for kind in TARGETS]),
    st.sampled_from([kind.collection.rpartition("/")[2] for kind in TARGETS]),
)
JUNK = st.lists(PIECES, min_size=1, max_size=10).map("/".join)


@hypothesis.given(
    kind=st.sampled_from(TARGETS),
    home=st.sampled_from(TARGETS),
    resource=JUNK,
    fields=st.dictionaries(st.sampled_from(["tenant", "workspace", "provider", "region"]), JUNK),
)
def test_random_text_is_resolved_to_a_valid_address_or_to_nothing(
    kind: Kind, home: Kind, resource: str, fields: dict[str, str]
) -> None:
    here = home.ref(IDS, "home")
    for said in (resource, {"resource": resource, **fields}):
        found = resolve(said, kind, here, region=REGION)
        form = re.sub(r"{\w+}", "[A-Za-z0-9][-.A-Za-z0-9]*", f"{kind.collection}/{{name}}")
        assert found is None or (found.kind == kind.name and re.fullmatch(form, found.path))


@hypothesis.given(kind=st.sampled_from([k for k in KINDS.values() if k.links]), junk=JUNK)
def test_random_text_in_a_spec_raises_nothing(kind: Kind, junk: str) -> None:
    home = kind.ref(IDS, "one")
    for link in kind.links:
        spec = holding(link.at, junk if kind.name == "role-assignment" else {"resource": junk})
        found = [pointing.pointer for pointing in references_in(home, spec, region=REGION)]
        stands_for_all = link.allows_wildcard and junk == "*"
        assert found == ([] if stands_for_all else [link.at.replace("*", "0")])
        assert len(targets_of(home, spec)) <= 4


def holding(place: str, reference: object) -> Json:
    """A spec that is nothing but this reference at its place."""
    made: object = reference
    for step in reversed(place.split("/")[1:]):
        made = [made] if step == "*" else {step: made}
    assert isinstance(made, dict)
    return made


# --- what the spec of a resource refers to

INSTANCE = KINDS["instance"].ref(IDS, "one")
DISK = KINDS["block-storage"].ref(IDS, "d")


def test_a_target_is_known_in_every_spelling() -> None:
    for said in (
        {"resource": "d"},
        {"resource": "block-storages/d"},
        {"resource": f"seca.storage/v1/{DISK.path}"},
        {"resource": "d", "region": REGION, "tenant": "acme", "workspace": "web"},
    ):
        assert targets_of(INSTANCE, {"bootVolume": {"deviceRef": said}}) == {DISK}, said


def test_the_catalogue_has_no_referrers() -> None:
    assert targets_of(INSTANCE, {"skuRef": {"resource": "skus/s"}}) == frozenset()


@pytest.mark.parametrize("region", ["", REGION])
def test_a_shared_resource_is_found_without_its_tenant(region: str) -> None:
    said = {"resource": "images/i", "region": region}
    (found,) = references_in(DISK, {"sourceImageRef": said}, region=REGION)
    assert [ref.path for _, ref in found.targets] == [
        "tenants/acme/images/i",
        f"tenants/{SHARED_TENANT}/images/i",
    ]
    (own,) = references_in(DISK, {"sourceImageRef": said | {"tenant": "acme"}}, region=REGION)
    assert [ref.path for _, ref in own.targets] == ["tenants/acme/images/i"]


def test_every_spelling_of_a_sku_means_the_one_in_the_shared_tenant() -> None:
    for said in ("s", "skus/s", "tenants/seca/skus/s", "tenants/acme/skus/s", "instance-skus/s"):
        (found,) = references_in(INSTANCE, {"skuRef": {"resource": said}})
        assert {log_ref(ref).path for _, ref in found.targets} == {"tenants/seca/skus/s"}, said
    (upper,) = references_in(INSTANCE, {"skuRef": {"resource": "N10K"}})
    assert {log_ref(ref).name for _, ref in upper.targets} == {"N10K"}


def test_a_wildcard_points_to_no_resource() -> None:
    spec = {"scopes": [{"tenants": ["*"], "workspaces": ["*"]}]}
    assert (
        list(references_in(Ref("role-assignment", "tenants/acme/role-assignments/a"), spec)) == []
    )


def test_a_wildcard_names_no_role() -> None:
    spec = {"subs": ["jane"], "roles": ["*"], "scopes": [{}]}
    refusal = given("role-assignment").when(Put(spec=spec)).then_refused(Invalid)
    assert pointers(refusal) == ["/spec/roles/0"]


# --- targets that must exist

VOLUME: Json = {"sizeGB": 1, "skuRef": {"resource": "skus/s"}}
SKU = from_catalogue("storage-sku", "s")
THERE = lived(DISK, VOLUME)
TERMINATING = given("block-storage", Created(spec=VOLUME), DeletionRequested()).resource
NIC: Json = {"subnetRef": {"resource": "networks/net/subnets/s"}, "addresses": ["::"]}
SUBNET = lived(KINDS["subnet"].ref(IDS, "s"), {})
TABLE: Json = {"routes": [{"destinationCidrBlock": "::/0", "targetRef": {"resource": "x"}}]}


def to(*targets: str) -> Json:
    routes = [
        {"destinationCidrBlock": "::/0", "targetRef": {"resource": target}} for target in targets
    ]
    return {"routes": routes}


def pointers(refusal: Exception) -> list[str]:
    assert isinstance(refusal, Invalid)
    return [source.pointer for source in refusal.sources]


def test_a_reference_to_an_existing_resource_is_accepted() -> None:
    given("block-storage").with_targets(SKU).when(Put(spec=VOLUME)).then(Created(spec=VOLUME))


@pytest.mark.parametrize("target", [None, TERMINATING])
def test_a_reference_to_an_absent_or_terminating_resource_is_refused(
    target: Resource | None,
) -> None:
    spec = {"bootVolume": {"deviceRef": {"resource": "one"}}, "dataVolumes": []}
    targets = [target] if target else []
    refusal = given("instance").with_targets(*targets).when(Put(spec=spec)).then_refused(Invalid)
    assert pointers(refusal) == ["/spec/bootVolume/deviceRef"]
    assert "block-storage not found: create it or reference an existing one" in refusal.detail


def test_every_reference_without_a_target_is_named() -> None:
    spec = {
        "dataVolumes": [{"deviceRef": {"resource": name}} for name in ("d", "e", "f")],
        "additionalNicRefs": [{"resource": "n"}],
    }
    refusal = given("instance").with_targets(THERE).when(Put(spec=spec)).then_refused(Invalid)
    assert pointers(refusal) == [
        "/spec/dataVolumes/1/deviceRef",
        "/spec/dataVolumes/2/deviceRef",
        "/spec/additionalNicRefs/0",
    ]


def test_a_reference_that_did_not_change_never_blocks() -> None:
    spec = {"dataVolumes": [{"deviceRef": {"resource": name}} for name in ("d", "e")]}
    moved = {"dataVolumes": list(reversed(spec["dataVolumes"]))}
    for wanted in (spec, moved):
        given("instance", Created(spec=spec)).when(Put(spec=wanted)).then(Updated(spec=wanted))
    respelled = {"dataVolumes": [{"deviceRef": {"resource": "block-storages/d"}}]}
    given("instance", Created(spec=spec)).when(Put(spec=respelled)).then_refused(Invalid)


DEFERRED = SiteRules(region=REGION, deferred=frozenset({"nic_public_ips"}))


def test_a_setting_makes_its_reference_deferred_and_no_other() -> None:
    spec = NIC | {"publicIpRefs": [{"resource": "p"}]}
    strict = given("nic").with_targets(SUBNET).when(Put(spec=spec)).then_refused(Invalid)
    assert pointers(strict) == ["/spec/publicIpRefs/0"]
    given("nic").at(DEFERRED).with_targets(SUBNET).when(Put(spec=spec)).then(Created(spec=spec))
    other = given("nic").at(DEFERRED).when(Put(spec=spec)).then_refused(Invalid)
    assert pointers(other) == ["/spec/subnetRef"]


@pytest.mark.parametrize(
    "target",
    ["instances/x", "x", "10.0.0.7", "::", "10.0.0.7/32", "workspaces/web/instances/x"],
)
def test_a_route_may_refer_to_an_absent_instance_or_to_an_address(target: str) -> None:
    given("routing-table").when(Put(spec=to(target))).then(Created(spec=to(target)))


@pytest.mark.parametrize(
    "target", ["internet-gateways/x", "internet-nat-gateway-instances/x", "nics/x", "/", "10.0.0/x"]
)
def test_a_route_may_refer_to_no_absent_gateway_and_to_no_other_kind(target: str) -> None:
    refusal = given("routing-table").when(Put(spec=to("x", target))).then_refused(Invalid)
    assert pointers(refusal) == ["/spec/routes/1/targetRef"]


# --- the caller's rights


def test_only_targets_that_the_caller_may_get_are_loaded() -> None:
    spec = {
        "bootVolume": {"deviceRef": {"resource": "d"}},
        "skuRef": {"resource": "tenants/acme/skus/s"},
        "primaryNicRef": {"resource": "tenants/other/workspaces/web/nics/n"},
    }
    nothing = referenced_refs(INSTANCE, spec, region=REGION, policy=Readable())
    assert [ref.kind for ref in nothing.loaded] == ["instance-sku"]
    assert nothing.readable == frozenset()
    nic = KINDS["nic"].ref(IDS | {"tenant": "other"}, "n")
    both = referenced_refs(INSTANCE, spec, region=REGION, policy=Readable(DISK, nic))
    assert [ref.kind for ref in both.loaded] == ["instance-sku", "block-storage", "nic"]
    assert both.readable == frozenset({DISK, nic})
    own = referenced_refs(INSTANCE, spec, region=REGION, policy=None)
    assert (own.loaded, own.readable) == (both.loaded, None)


class Readable:
    """A policy by which the caller may get these resources, and no others."""

    def __init__(self, *refs: Ref) -> None:
        self.refs = refs

    def may_get(self, ref: Ref) -> bool:
        return ref in self.refs

    async def excess(self, ref: Ref, old: Json | None, new: Json) -> str:
        return ""


@pytest.mark.parametrize("there", ["tenants/other/workspaces/web", "workspaces/else"])
def test_an_absent_target_of_a_deferred_reference_must_be_readable_for_the_caller(
    there: str,
) -> None:
    """The reference is bound later without any caller's rights."""
    spec = to("instances/own", f"{there}/instances/x", "10.0.0.7")
    table = given("routing-table").when(Put(spec=spec))
    table.then(Created(spec=spec))
    refusal = table.readable().then_refused(Invalid)
    assert pointers(refusal) == ["/spec/routes/1/targetRef"]
    given("routing-table", Created(spec=spec)).readable().when(Put(spec=spec)).then(
        Updated(spec=spec)
    )


def test_the_catalogue_of_another_tenant_is_not_open_to_all() -> None:
    spec = {"skuRef": {"resource": "tenants/other/skus/s"}}
    assert referenced_refs(INSTANCE, spec, region=REGION, policy=Readable()).loaded == []


def test_builtin_roles_and_the_own_tenant_always_exist() -> None:
    assignment = Ref("role-assignment", "tenants/acme/role-assignments/a")
    assert always_exists(assignment, Ref("role", "tenants/acme/roles/seca.admin"))
    assert always_exists(assignment, Ref("tenant", "tenants/acme"))
    assert not always_exists(assignment, Ref("tenant", "tenants/other"))
    assert not always_exists(assignment, Ref("role", "tenants/acme/roles/seca.nope"))
