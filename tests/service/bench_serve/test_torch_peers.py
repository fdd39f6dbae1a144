import pytest
from starlette.testclient import TestClient

from model_store.bundle import decode_bundle
from service.app import build_app
from service.bench_serve.pictures import draw_pictures
from service.settings import Settings


@pytest.mark.parametrize("kind", ["naive", "batched"])
def test_a_peer_answers_as_we_do(settings: Settings, encoded_grey: bytes, kind: str) -> None:
    peers = pytest.importorskip("service.bench_serve.torch_peers")
    bundle = decode_bundle(encoded_grey)
    pictures = draw_pictures(3, bundle.preprocessing, 1)
    with TestClient(build_app(settings)) as own, TestClient(peers.build_peer(kind, peers.Network(bundle))) as peer:
        for picture in pictures:
            ours = own.post("/predict?model=grey", content=picture, headers={"Content-Type": "image/png"}).json()
            theirs = peer.post("/predict", content=picture).json()
            assert [each["label"] for each in theirs["top"]] == [each["label"] for each in ours["top"]]
            assert theirs["probability"] == pytest.approx(ours["probability"], rel=1e-4)


def test_pictures_are_those_of_their_seed(encoded_grey: bytes) -> None:
    preprocessing = decode_bundle(encoded_grey).preprocessing
    assert draw_pictures(2, preprocessing, 1) == draw_pictures(2, preprocessing, 1)
    assert len({*draw_pictures(3, preprocessing, 1), *draw_pictures(3, preprocessing, 2)}) == 6
