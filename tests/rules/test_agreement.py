"""For random policies, the decision, its explanation and a plain enforcer agree."""

import random
from collections import Counter

import pytest

from secaplane.model.errors import Forbidden
from secaplane.policy.grants.policy import Policy
from tests.plain_policy import Plain, PolicyRequest, policy, random_policy, random_request

POLICIES, REQUESTS = 12, 100


@pytest.mark.parametrize("seed", range(POLICIES))
def test_decision_explanation_and_a_plain_enforcer_agree(seed: int) -> None:
    luck = random.Random(seed)
    resources = random_policy(luck)
    known, plain = policy(resources), Plain(resources)
    for _ in range(REQUESTS):
        request = random_request(luck)
        answers = {allowed(known, request), explained(known, request), plain.allows(request)}
        assert len(answers) == 1, (request, [each.spec for each in resources])


def test_the_random_requests_are_allowed_and_denied() -> None:
    luck, found = random.Random(3), Counter[bool]()
    for _ in range(POLICIES):
        plain = Plain(random_policy(luck))
        found.update(plain.allows(random_request(luck)) for _ in range(REQUESTS))
    assert min(found[True], found[False]) > POLICIES * REQUESTS / 20, found


def allowed(known: Policy, request: PolicyRequest) -> bool:
    try:
        known.authorize(*request)
    except Forbidden:
        return False
    return True


def explained(known: Policy, request: PolicyRequest) -> bool:
    return known.explain(*request).rule is not None
