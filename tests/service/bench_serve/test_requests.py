import base64
import json

from service.bench_serve.requests import as_they_are, in_json, in_lists


def test_a_picture_goes_as_it_is_or_in_base64() -> None:
    (raw,) = as_they_are([b"abc"]).encoded(80)
    head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:80\r\nContent-Type: image/png\r\nContent-Length: 3\r\n\r\n"
    assert raw == head + b"abc"
    head, _, body = in_json([b"abc"]).encoded(80)[0].partition(b"\r\n\r\n")
    assert b"Content-Type: application/json" in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert base64.b64decode(json.loads(body)["image"]) == b"abc"
    assert [base64.b64decode(each) for each in json.loads(in_lists([b"abc"]).bodies[0])["images"]] == [b"abc"]
