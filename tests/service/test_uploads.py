import asyncio
import contextlib
import tracemalloc
from collections.abc import Iterable, Mapping

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from service.errors import BodyTooLarge, InvalidUpload, UnsupportedUpload, UploadTooSlow
from service.uploads import Upload, media_type_of, parse_pictures, read_upload
from tests.service.drawings import form, form_of_files, png

PNG = {"Content-Type": "image/png"}


def upload(
    chunks: Iterable[bytes | None], headers: Mapping[str, str], limit: int = 1000, timeout_s: float = 5.0
) -> bytes:
    """What comes of a request whose body arrives in these chunks; an endless wait follows a last chunk of None."""
    waiting = iter(chunks)

    async def receive() -> Message:
        chunk = next(waiting, b"")
        if chunk is None:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": chunk, "more_body": bool(chunk)}

    scope = {
        "type": "http",
        "method": "POST",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
    }
    return asyncio.run(read_upload(Request(scope, receive), limit, timeout_s))


def uploads(body: bytes, headers: Mapping[str, str]) -> Upload:
    """What comes of a request with this body, that may carry three pictures."""
    fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    return parse_pictures(body, media_type_of(Request({"type": "http", "method": "POST", "headers": fields})), 3)


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "image/webp", "IMAGE/PNG", "image/png; charset=x"])
def test_a_raw_body_is_the_picture(kind: str) -> None:
    assert upload([b"ab", b"c"], {"Content-Type": kind}) == b"abc"


@pytest.mark.parametrize("kind", ["", "text/plain", "image/gif", "text/json", "image/png" + "; x=" + "y" * 65_536, ";"])
def test_other_media_types_are_unsupported(kind: str) -> None:
    with pytest.raises(UnsupportedUpload) as caught:
        upload([b"abc"], {"Content-Type": kind})
    assert str(caught.value) == (
        "Content-Type must be image/png, image/jpeg, image/webp with the picture as the body, "
        "multipart/form-data with the picture in the field file, or application/json with the picture in base64."
    )


def test_a_missing_media_type_is_unsupported() -> None:
    with pytest.raises(UnsupportedUpload):
        upload([b"abc"], {})


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity", ""])
def test_an_encoded_body_is_unsupported(encoding: str) -> None:
    with pytest.raises(UnsupportedUpload) as caught:
        upload([b"abc"], {**PNG, "Content-Encoding": encoding})
    assert str(caught.value) == "Content-Encoding is not supported: send the picture as it is."


def test_identity_is_no_encoding() -> None:
    assert upload([b"abc"], {**PNG, "Content-Encoding": "identity"}) == b"abc"


def test_an_empty_body_is_refused() -> None:
    with pytest.raises(InvalidUpload) as caught:
        upload([], PNG)
    assert str(caught.value) == "The picture is empty."


def test_the_limit_itself_is_allowed() -> None:
    assert upload([b"x" * 10], {**PNG, "Content-Length": "10"}, limit=10) == b"x" * 10


@pytest.mark.parametrize("declared", ["11", "9" * 40, "3", "-1", "", "ten"])
def test_a_body_over_the_limit_is_refused_whatever_it_declares(declared: str) -> None:
    with pytest.raises(BodyTooLarge) as caught:
        upload([b"x" * 6, b"x" * 5], {**PNG, "Content-Length": declared}, limit=10)
    assert str(caught.value) == "The body is too large, must be at most 10 bytes."


def test_a_declared_length_over_the_limit_is_refused_unread() -> None:
    chunks = iter([b"x"])
    with pytest.raises(BodyTooLarge):
        upload(chunks, {**PNG, "Content-Length": "11"}, limit=10)
    assert next(chunks) == b"x"


def test_an_endless_body_takes_bounded_memory() -> None:
    chunk = b"x" * 65_536
    tracemalloc.start()
    with pytest.raises(BodyTooLarge):
        upload((chunk for _ in range(10_000)), PNG, limit=1_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3_000_000


def test_a_slow_body_is_refused() -> None:
    with pytest.raises(UploadTooSlow) as caught:
        upload([b"x", None], PNG, timeout_s=0.05)
    assert str(caught.value) == "The body took longer than 0.05 s."


def test_a_client_that_leaves_while_sending_is_told_apart() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"image/png")]}
    with pytest.raises(ClientDisconnect):
        asyncio.run(read_upload(Request(scope, receive), 10, 1.0))


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_form_is_read_however_it_is_cut(step: int) -> None:
    picture = png(4, 4) + b"\r\n--limi\r\n--"
    body, headers = form({"other": b"1", "file": picture, "third": b"2"})
    chunks = [body[start : start + step] for start in range(0, len(body), step)]
    assert upload(chunks, headers, limit=10_000) == picture


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"other": b"x"}, "The form has no field file."),
        ({"file": b""}, "The picture is empty."),
        ({f"f{index}": b"x" for index in range(9)}, "The form has more than 8 fields."),
        ({"x" * 3000: b"x"}, "A field's headers are too long."),
    ],
)
def test_a_form_without_one_picture_is_refused(fields: dict[str, bytes], message: str) -> None:
    body, headers = form(fields)
    with pytest.raises(InvalidUpload) as caught:
        upload([body], headers, limit=100_000)
    assert str(caught.value) == message


def test_two_pictures_in_a_form_are_refused_where_one_is_wanted() -> None:
    body, headers = form_of_files([b"x", b"y"])
    with pytest.raises(InvalidUpload) as caught:
        upload([body], headers)
    assert str(caught.value) == "The form has more than 1 of the field file."
    with pytest.raises(InvalidUpload) as caught:
        uploads(form_of_files([b"x"] * 4)[0], headers)
    assert str(caught.value) == "The form has more than 3 of the field file."


def test_a_form_may_have_several_pictures() -> None:
    body, headers = form_of_files([b"first", b"second", b"third"])
    assert uploads(body, headers) == Upload((b"first", b"second", b"third"), True)
    body, headers = form_of_files([b"only"])
    assert uploads(body, headers) == Upload((b"only",), False)


JSON = {"Content-Type": "application/json"}


def test_json_carries_one_picture_or_several_in_base64() -> None:
    assert uploads(b'{"image": "YWJj"}', JSON) == Upload((b"abc",), False)
    several = uploads(b'{"instances": [{"b64": "YWJj"}, {"b64": "eA=="}]}', JSON)
    assert (several.pictures, several.several) == ((b"abc", b"x"), True)
    assert uploads(b'{"instances": [{"b64": "eA=="}]}', JSON).several


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body: not JSON from character 0 on"),
        (b"[]", 'body: must be {"image": BASE64} or {"instances": [{"b64": BASE64}, ...]}'),
        (b"{}", 'body: must be {"image": BASE64} or {"instances": [{"b64": BASE64}, ...]}'),
        (b'{"image": "", "x": 1}', 'body: must be {"image": BASE64} or {"instances": [{"b64": BASE64}, ...]}'),
        (b'{"image": "YWJj", "image": "YWJj"}', "body: an object has a member twice"),
        (b'{"image": 1}', "image: must be a string in base64"),
        (b'{"image": "YW Jj"}', "image: must be a string in base64"),
        (b'{"image": "YWJ"}', "image: must be a string in base64"),
        ('{"image": "\u00e9"}'.encode(), "image: must be a string in base64"),
        (b'{"image": "\\ud800"}', "image: must be a string in base64"),
        (b'{"image": ""}', "The picture is empty."),
        (b'{"instances": []}', "instances: must be a list of 1..3 pictures"),
        (b'{"instances": "eA=="}', "instances: must be a list of 1..3 pictures"),
        (b'{"instances": [1, 2, 3, 4]}', "instances: must be a list of 1..3 pictures"),
        (b'{"instances": [{"b64": "eA=="}, "eA=="]}', 'instances[1]: must be {"b64": BASE64}'),
        (b'{"instances": [{"b64": null}]}', "instances[0].b64: must be a string in base64"),
    ],
)
def test_json_that_carries_no_picture_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(InvalidUpload) as caught:
        uploads(body, JSON)
    assert str(caught.value) == message


def test_a_form_cut_anywhere_is_refused() -> None:
    body, headers = form({"file": b"picture"})
    for length in range(len(body) - 4):
        with pytest.raises(InvalidUpload):
            upload([body[:length]], headers)


@pytest.mark.parametrize(
    "body", [b"garbage", b"--wrong\r\n\r\n", b"--limit\r\n: \0\r\n\r\nx\r\n--limit--\r\n", b"\0" * 100]
)
def test_a_malformed_form_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidUpload):
        upload([body], form({})[1])


@pytest.mark.parametrize("options", ["", "; boundary=", "; boundary=" + "x" * 71])
def test_a_form_needs_a_boundary(options: str) -> None:
    with pytest.raises(InvalidUpload) as caught:
        upload([b"x"], {"Content-Type": "multipart/form-data" + options})
    assert str(caught.value) == "The form's boundary must have 1 to 70 characters."


def test_a_form_over_the_limit_is_refused() -> None:
    body, headers = form({"file": b"x" * 2000})
    with pytest.raises(BodyTooLarge):
        upload([body], headers)


def test_a_mutated_form_is_refused_or_read_but_nothing_else() -> None:
    body, headers = form({"other": b"1", "file": b"picture"})
    for position in range(0, len(body), 2):
        for value in (10, 255):
            mutant = bytearray(body)
            mutant[position] = value
            with contextlib.suppress(InvalidUpload):
                upload([bytes(mutant)], headers)
