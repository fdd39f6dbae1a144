import pytest

from model_store.references import Reference
from service.errors import SettingsError
from service.splits import Split, parse_splits

IDS = [f"{number:x}" for number in range(4000)]


def test_a_list_of_splits_is_read() -> None:
    splits = parse_splits("canary", "a=b:stable@0.1,c=c:2@1")
    assert splits == [
        Split("canary", "a", Reference("b", "stable"), 0.1),
        Split("canary", "c", Reference("c", 2), 1.0),
    ]
    assert ",".join(map(str, splits)) == "a=b:stable@0.1,c=c:2@1"
    assert parse_splits("canary", "") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", 'shadow "a", must be MODEL=CANDIDATE@SHARE'),
        ("a=b", 'shadow "a=b", must be MODEL=CANDIDATE@SHARE'),
        ("a@0.5", 'shadow "a@0.5", must be MODEL=CANDIDATE@SHARE'),
        ("a=b@x", 'shadow "a=b@x": share "x", must be a number'),
        ("a=b@0", "shadow share 0, must be above 0 and at most 1"),
        ("a=b@1.5", "shadow share 1.5, must be above 0 and at most 1"),
        ("a=b@nan", "shadow share nan, must be above 0 and at most 1"),
        ("a=a@1", 'shadow "a=a@1": the candidate must be another model or version'),
        ("a=b@1,a=c@1", 'shadow "a=b@1,a=c@1": names the model "a" twice, must once'),
    ],
)
def test_anything_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_splits("shadow", text)
    assert str(caught.value) == message


def test_bad_names_are_refused() -> None:
    for text in ("A=b@1", "a=B@1", "a=b:0@1", "a=b:@1", "=b@1", "a=@1", "a=b@1,"):
        with pytest.raises(SettingsError):
            parse_splits("canary", text)


@pytest.mark.parametrize("share", [0.01, 0.25, 0.9])
def test_the_share_is_taken_and_the_same_request_always_falls_on_the_same_side(share: float) -> None:
    split = Split("canary", "a", Reference("b"), share)
    taken = [split.takes(request_id) for request_id in IDS]
    assert sum(taken) / len(IDS) == pytest.approx(share, abs=0.025)
    assert taken == [split.takes(request_id) for request_id in IDS]


def test_a_share_of_one_takes_all() -> None:
    assert all(Split("shadow", "a", Reference("b"), 1.0).takes(request_id) for request_id in IDS)


def test_a_canary_and_a_shadow_see_different_requests() -> None:
    canary, shadow = (Split(kind, "a", Reference("b"), 0.5) for kind in ("canary", "shadow"))
    both = sum(canary.takes(request_id) and shadow.takes(request_id) for request_id in IDS)
    assert both / len(IDS) == pytest.approx(0.25, abs=0.03)
