import pytest

_native = pytest.importorskip("service.engine._native", reason="built without a compiler")


def test_every_instruction_set_has_a_peak_and_more_threads_are_counted_together() -> None:
    for name in ("", *_native.instruction_sets()):
        for threads in (1, 2):
            assert 1e8 < _native.peak_multiply_adds(name, threads, 0.0) < 1e13


def test_wider_vectors_reach_more() -> None:
    peaks = {name: _native.peak_multiply_adds(name, 1, 0.05) for name in _native.instruction_sets()}
    if "avx2" not in peaks:
        pytest.skip("this machine has one instruction set")
    assert peaks["avx2"] > 1.2 * peaks["plain"]


@pytest.mark.parametrize(
    ("name", "threads", "message"),
    [("mmx", 1, "peak: this machine cannot run that instruction set"), ("", 0, "peak: threads")],
)
def test_what_has_no_peak_is_refused(name: str, threads: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _native.peak_multiply_adds(name, threads, 0.0)
