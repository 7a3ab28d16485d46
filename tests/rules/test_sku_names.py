"""SKU names: aliases in references, immutable fields and quotas; advice about unknown ones."""

import pytest

from secaplane.command.rules.commands import Put
from secaplane.command.rules.quotas import amounts, excess
from secaplane.kinds import KINDS, log_ref, sku_name
from secaplane.kinds.advice import to_find_or_create, to_reference
from secaplane.kinds.references import references_in, same_target
from secaplane.kinds.shares import QuotaShare, quota_share
from secaplane.model.errors import Invalid
from secaplane.model.events import Created, Updated
from secaplane.model.kind import Kind
from secaplane.model.shape import Json, Ref
from secaplane.plugins.simulated.catalogue import STANDARD, read
from tests.scenario import IDS, from_catalogue, given

RD500 = from_catalogue("storage-sku", "RD500")
DISK = KINDS["block-storage"].ref(IDS, "one")
SPELLINGS = (
    {"resource": "RD500"},
    {"resource": "skus/RD500"},
    {"resource": "skus/seca.rd500"},
    {"resource": "storage-skus/seca.rd500"},
    {"resource": "tenants/seca/skus/seca.rd500"},
    {"resource": "seca.storage/v1/tenants/acme/skus/RD500"},
    {"resource": "skus/seca.rd500", "provider": "seca.storage/v1"},
)


def volume(reference: Json) -> Json:
    return {"sizeGB": 1, "skuRef": reference}


@pytest.mark.parametrize(
    ("written", "name"),
    [
        *(("seca.rd500", "RD500"), ("seca.k8s-1-34-shared", "K8S-1-34-SHARED")),
        *((name, name) for name in ("RD500", "tiny", "secarium", "rd500")),
    ],
)
def test_a_name_with_the_prefix_is_an_alias(written: str, name: str) -> None:
    assert sku_name(written) == name
    for kind in ("storage-sku", "instance-sku", "network-sku", "kubernetes-cluster-sku"):
        ref = KINDS[kind].ref({"tenant": "acme"}, written)
        assert log_ref(ref) == Ref(kind, f"tenants/seca/skus/{name}")


def test_other_resources_have_no_aliases() -> None:
    for ref in (KINDS["role"].ref(IDS, "seca.admin"), Ref("region", "regions/seca.eu")):
        assert log_ref(ref) == ref


def test_the_builtin_catalogue_has_the_names_of_the_sku_tables() -> None:
    names = {
        sku.kind: {s.name for s in read(STANDARD).skus if s.kind == sku.kind}
        for sku in read(STANDARD).skus
    }
    assert names["network-sku"] == {"N1K", "N5K", "N10K"}
    assert names["storage-sku"] >= {"RD100", "RD500", "LD40K", "LE40K"}
    assert names["instance-sku"] >= {"DXS", "S2XL", "G2XL"}
    for sku in read(STANDARD).skus:
        assert sku.labels["tier"] == sku.name
        assert read(STANDARD).has(sku.kind, f"seca.{sku.name.lower()}")


@pytest.mark.parametrize("reference", SPELLINGS, ids=str)
def test_a_reference_finds_the_sku_in_every_spelling(reference: Json) -> None:
    (found,) = references_in(DISK, volume(reference))
    assert [log_ref(ref) for _, ref in found.targets] == [RD500.ref]
    scene = given("block-storage").with_targets(RD500)
    scene.when(Put(spec=volume(reference))).then(Created(spec=volume(reference)))


@pytest.mark.parametrize("reference", SPELLINGS, ids=str)
def test_another_spelling_of_an_immutable_reference_is_no_change(reference: Json) -> None:
    scene = given("block-storage", Created(spec=volume(SPELLINGS[2])))
    scene.when(Put(spec=volume(reference))).then(Updated(spec=volume(reference)))
    other = volume({"resource": "skus/RD100"})
    refusal = scene.when(Put(spec=other)).then_refused(Invalid)
    assert "/spec/skuRef" in [source.pointer for source in refusal.sources]


def test_values_are_the_same_only_if_they_resolve_to_the_same() -> None:
    one, other = SPELLINGS[:2]
    assert same_target(DISK, "/skuRef", one, other)
    unresolved = ({"resource": "a/b/c/d"}, {"resource": "d/c/b/a"})
    assert not same_target(DISK, "/skuRef", *unresolved)
    assert not same_target(DISK, "/skuRef", None, one)
    assert not same_target(DISK, "/sizeGB", 1, 2)


def test_a_set_once_reference_may_be_spelled_in_another_way() -> None:
    subnet = {"cidr": {"ipv4": "10.0.0.0/24"}, "zone": "a", "routeTableRef": {"resource": "r"}}
    one, other = ({**subnet, "skuRef": {"resource": each}} for each in ("skus/seca.n1k", "N1K"))
    scene = given("subnet", Created(spec=one)).under({})
    scene.when(Put(spec=other)).then(Updated(spec=other))


def test_a_quota_counts_an_alias_as_its_sku() -> None:
    instance = KINDS["instance"].ref(IDS, "one")
    share = quota_share(instance, {"skuRef": {"resource": "skus/seca.dxs"}})
    assert share == QuotaShare("instance", "DXS", 1, 0)
    recorded_before = QuotaShare("instance", "seca.dxs", 1, 0)
    used = amounts([share, recorded_before], {})
    assert used["instance/DXS"] == 2
    for what in ("instance/seca.dxs", "instance/DXS"):
        (exceeded,) = excess({what: 2}, used, amounts([share], {}))
        assert (exceeded.what, exceeded.used, exceeded.asked) == (what, 2, 1)


# --- advice


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_a_caller_is_advised_to_create_only_what_a_caller_can_create(kind: Kind) -> None:
    lists, creatable = f"{kind.url.format_map(IDS)} lists the existing ones", "put" in kind.verbs
    assert to_find_or_create(kind, IDS) == ("create it with PUT" if creatable else lists)
    assert (to_reference([kind], IDS) == lists) is not creatable


def test_an_unknown_sku_is_refused_with_the_list_of_the_known_ones() -> None:
    refusal = given("block-storage").when(Put(spec=volume(SPELLINGS[0]))).then_refused(Invalid)
    assert [source.pointer for source in refusal.sources] == ["/spec/skuRef"]
    skus = "/providers/seca.storage/v1/tenants/acme/skus"
    assert refusal.detail.endswith(f"storage-sku not found: {skus} lists the existing ones")
