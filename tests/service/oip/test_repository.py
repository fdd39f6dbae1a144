import hmac

import pytest

from service.errors import Forbidden, InvalidInference
from service.oip.repository import check_load_request, check_token, check_unload_request, parse_index_request

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_opens(scheme: str) -> None:
    check_token(f"{scheme} {TOKEN}", TOKEN)


@pytest.mark.parametrize(
    "given", ["", TOKEN, "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", "Bearer é"]
)
def test_anything_else_does_not(given: str) -> None:
    with pytest.raises(Forbidden) as caught:
        check_token(given, TOKEN)
    assert str(caught.value) == "Loading and unloading need the header Authorization: Bearer with the admin token."


@pytest.mark.parametrize("given", ["", "Bearer ", "Bearer x"])
def test_without_a_token_nobody_may(given: str) -> None:
    with pytest.raises(Forbidden) as caught:
        check_token(given, "")
    assert str(caught.value) == "Loading and unloading are off: the service was started without an admin token."


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    original = hmac.compare_digest

    def compare(first: bytes, second: bytes) -> bool:
        compared.append((first, second))
        return original(first, second)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    check_token(f"Bearer {TOKEN}", TOKEN)
    assert compared == [(TOKEN.encode(), TOKEN.encode())]


@pytest.mark.parametrize(
    ("body", "ready"), [(b"", False), (b"{}", False), (b'{"ready": true}', True), (b'{"ready": null, "x": 1}', False)]
)
def test_an_index_is_of_all_versions_or_of_those_in_memory(body: bytes, ready: bool) -> None:
    assert parse_index_request(body) is ready


@pytest.mark.parametrize("body", [b"", b"{}", b'{"parameters": {}}', b'{"parameters": {"unload_dependents": true}}'])
def test_unloading_takes_one_parameter(body: bytes) -> None:
    check_unload_request(body)


def test_loading_takes_no_parameter() -> None:
    for body in (b"", b"{}", b'{"parameters": {}}', b'{"parameters": null}'):
        check_load_request(body)


def test_what_a_call_does_not_take_is_named() -> None:
    with pytest.raises(InvalidInference) as caught:
        parse_index_request(b'{"ready": 1}')
    assert str(caught.value) == "ready = 1, must be true or false"
    with pytest.raises(InvalidInference) as caught:
        check_load_request(b'{"parameters": {"config": "{}"}}')
    assert str(caught.value) == 'parameters["config"]: models and their configuration come from the store only'
    with pytest.raises(InvalidInference) as caught:
        check_unload_request(b'{"parameters": {"x": 1}}')
    assert str(caught.value) == 'parameters["x"]: unknown, must be unload_dependents'
    with pytest.raises(InvalidInference) as caught:
        check_unload_request(b'{"parameters": {"unload_dependents": 1}}')
    assert str(caught.value) == "parameters.unload_dependents = 1, must be true or false"
