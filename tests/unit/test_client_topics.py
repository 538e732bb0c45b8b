"""What the client builds is what the gateway understands."""

from __future__ import annotations

import doctest
import inspect

import pytest

from aether.client import to
from aether.topics import parse_target

BUILDERS = [getattr(to, name) for name in to.__all__]


@pytest.mark.parametrize("builder", BUILDERS)
def test_every_topic_is_one_to_the_gateway(builder) -> None:
    names = list(inspect.signature(builder).parameters)
    target = parse_target(builder(*names))
    assert target.topic.split("::")[1:] == names
    if "workspace" in names:
        assert target.workspace == "workspace"


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("wrong", ["", "a::b", "::", ":a", "a:"])
def test_no_part_makes_another_topic(builder, wrong: str) -> None:
    names = list(inspect.signature(builder).parameters)
    for index in range(len(names)):
        with pytest.raises(ValueError, match="a part of a topic must not"):
            builder(*names[:index], wrong, *names[index + 1 :])


def test_the_example_is_right() -> None:
    assert doctest.testmod(to).failed == 0
