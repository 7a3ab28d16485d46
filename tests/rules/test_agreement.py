"""Whatever the policy: the decision, its explanation and one plain enforcer say the same."""

import random
from collections import Counter

import pytest

from secaplane.model.errors import Forbidden
from secaplane.policy.grants.policy import Policy
from tests.plain_policy import Plain, Question, policy, random_policy, random_question

POLICIES, QUESTIONS = 12, 100


@pytest.mark.parametrize("seed", range(POLICIES))
def test_decision_explanation_and_one_plain_enforcer_agree(seed: int) -> None:
    luck = random.Random(seed)
    resources = random_policy(luck)
    known, plain = policy(resources), Plain(resources)
    for _ in range(QUESTIONS):
        asked = random_question(luck)
        said = {allowed(known, asked), explained(known, asked), plain.allows(asked)}
        assert len(said) == 1, (asked, [each.spec for each in resources])


def test_the_questions_are_answered_either_way() -> None:
    luck, found = random.Random(1), Counter[bool]()
    for _ in range(POLICIES):
        plain = Plain(random_policy(luck))
        found.update(plain.allows(random_question(luck)) for _ in range(QUESTIONS))
    assert min(found[True], found[False]) > POLICIES * QUESTIONS / 20, found


def allowed(known: Policy, asked: Question) -> bool:
    try:
        known.authorize(*asked)
    except Forbidden:
        return False
    return True


def explained(known: Policy, asked: Question) -> bool:
    return known.explain(*asked).rule is not None
