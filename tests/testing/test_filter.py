"""Filter expressions, beyond those that the real agent is asked as well."""

from __future__ import annotations

import httpx
import pytest

from consul_onex.testing import FakeAgent


async def ask(expression: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=FakeAgent(), base_url="http://fake") as http:
        return await http.get("/v1/catalog/nodes", params={"filter": expression})


@pytest.mark.parametrize(
    ("expression", "there"),
    [
        ("(Node == dev)", True),
        ("(Node == dev or Node == x) and Datacenter == dc1", True),
        ('Address == "127.0.0.1" and not Node == dev', False),
        ("not not Node == dev", True),
        (r'Node == "d\ev"', True),
        ("TaggedAddresses.lan == `127.0.0.1`", True),
        ('"127.0" in TaggedAddresses["lan"]', True),
        ("dc1.x in Datacenter", False),
        ("Meta is not empty", True),
        ("Node\n==\tdev", True),
    ],
)
async def test_a_row_is_as_it_is_said(expression: str, there: bool) -> None:
    answer = await ask(expression)

    assert (answer.status_code, bool(answer.json())) == (200, there)


@pytest.mark.parametrize(
    ("expression", "where"),
    [
        ("Node ==", "1:8 (7)"),
        ("Node", "1:5 (4)"),
        ("==", "1:1 (0)"),
        ("(Node == dev", "1:13 (12)"),
        ("Node == dev Node", "1:13 (12)"),
        ("Node bad", "1:6 (5)"),
        ("5 in", "1:5 (4)"),
        ("Meta[ == x", "1:7 (6)"),
        ("Meta[x == x", "1:8 (7)"),
        ("Node == dev and\n(", "2:2 (17)"),
        ('"', "1:1 (0)"),
    ],
)
async def test_what_is_no_expression_is_refused_with_its_place(expression: str, where: str) -> None:
    answer = await ask(expression)

    assert answer.status_code == 500
    said = f"Failed to create boolean expression evaluator: {where}: no match found"
    assert answer.text == said


async def test_a_pattern_that_is_none_is_refused() -> None:
    answer = await ask('Node matches "["')

    assert answer.status_code == 500
    assert 'Failed to compile regular expression "["' in answer.text
