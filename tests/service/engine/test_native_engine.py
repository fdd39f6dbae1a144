import builtins
import importlib
import logging
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import service.engine
from model_store.bundle import Bundle
from model_store.graph import Node
from service.engine import compile_plan
from service.engine.numpy_engine import NumpyPlan
from service.engine.plan import GatheringPlan, run_pictures
from service.errors import EngineFailure, EngineUnavailable
from tests.service.bundles import CONV, bundle_of, floats, pictures, residual_bundle, shared
from tests.service.engine.cases import convolutions, operator_cases
from tests.service.engine.native_cases import agrees, expected_of, layers, sparse
from tests.service.engine.networks import NETWORKS

pytest.importorskip("service.engine._native", reason="built without a compiler")

from service.engine import _native
from service.engine.native_engine import NativePlan, instruction_sets

CASES = operator_cases()
SETS = instruction_sets()


def test_the_machine_runs_plain_code_at_least() -> None:
    assert SETS[-1] in {"plain", "neon"}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("instruction_set", SETS)
def test_an_operator_agrees_with_the_numpy_engine(name: str, instruction_set: str) -> None:
    for count in (1, 3, 16, 21):
        batch = pictures(CASES[name], count)
        plan = NativePlan(CASES[name], 1 + count % 2, instruction_set)
        np.testing.assert_allclose(plan.run(batch), expected_of(CASES[name], batch), rtol=1e-4, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(convolutions(), st.sampled_from(SETS), st.integers(1, 20))
def test_a_convolution_agrees_with_the_numpy_engine(bundle: Bundle, instruction_set: str, count: int) -> None:
    batch = pictures(bundle, count)
    plan = NativePlan(bundle, 1, instruction_set)
    np.testing.assert_allclose(plan.run(batch), expected_of(bundle, batch), rtol=1e-4, atol=1e-5)


@settings(max_examples=150, deadline=None)
@given(layers(), st.sampled_from(SETS), st.integers(1, 20), st.integers(1, 2))
def test_layers_of_any_shape_and_density_agree(bundle: Bundle, instruction_set: str, count: int, threads: int) -> None:
    batch = pictures(bundle, count)
    assert agrees(NativePlan(bundle, threads, instruction_set).run(batch), expected_of(bundle, batch))


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("threads", [1, 2])
def test_every_batch_size_up_to_64_agrees(instruction_set: str, threads: int) -> None:
    bundle = residual_bundle()
    batch = pictures(bundle, 64)
    expected = expected_of(bundle, batch)
    plan = NativePlan(bundle, threads, instruction_set)
    for count in range(1, 65):
        got = plan.run(batch[:count])
        assert got.shape == (count, 4)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected[:count], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_whole_network_agrees(name: str, instruction_set: str) -> None:
    bundle = NETWORKS[name]()
    batch = pictures(bundle, 18)
    expected = expected_of(bundle, batch)
    for threads in (1, 2):
        plan = NativePlan(bundle, threads, instruction_set)
        for count in (1, 2, 4, 7, 9, 16, 18):
            assert agrees(plan.run(batch[:count]), expected[:count])


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_whole_network_agrees_at_every_batch_size(name: str) -> None:
    bundle = NETWORKS[name]()
    batch = pictures(bundle, 64)
    expected = expected_of(bundle, batch)
    plan = NativePlan(bundle, 2)
    for count in range(1, 65):
        assert agrees(plan.run(batch[:count]), expected[:count])


@pytest.mark.parametrize("name", NETWORKS)
def test_a_whole_network_agrees_with_torch(name: str) -> None:
    pytest.importorskip("torch")
    run_reference = importlib.import_module("tests.service.engine.reference").run_reference
    bundle = NETWORKS[name]()
    batch = pictures(bundle, 3)
    expected = run_reference(bundle, batch)
    assert agrees(NativePlan(bundle).run(batch), expected)
    assert agrees(NativePlan(bundle).run(batch[:1]), expected[:1])


def test_dense_weights_share_their_loads_and_agree() -> None:
    nodes = [Node("Conv", (0,), (0,), CONV, "conv"), Node("Flatten", (1,)), Node("Gemm", (2,), (1,), {}, "head")]
    bundle = bundle_of(nodes, [floats((7, 3, 3, 3)), floats((9, 7 * 64), 1)])
    plan = NativePlan(bundle)
    assert plan.layer_bytes["head"] < 8 * 9 * 7 * 64  # one offset for four weights
    for count in (1, 5, 16, 30):
        batch = pictures(bundle, count)
        assert agrees(plan.run(batch), expected_of(bundle, batch))


def test_a_layer_without_weights_gives_its_bias() -> None:
    nodes = [Node("Conv", (0,), (0, 1), CONV, "conv")]
    bundle = bundle_of(nodes, [sparse((4, 3, 3, 3), 0.0, 0), floats((4,))])
    expected = np.repeat(bundle.tensors[1].to_dense(), 64)
    assert (NativePlan(bundle).run(pictures(bundle, 2)) == expected).all()


def test_callers_may_run_a_plan_at_the_same_time() -> None:
    bundle = NETWORKS["resnet20"]()
    plan = NativePlan(bundle, 2)
    batch = pictures(bundle, 12)
    expected = expected_of(bundle, batch)
    wrong: list[int] = []

    def call(count: int) -> None:
        for _ in range(5):
            if not agrees(plan.run(batch[:count]), expected[:count]):
                wrong.append(count)

    callers = [threading.Thread(target=call, args=(count,)) for count in (1, 1, 3, 12)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []


def test_a_run_leaves_the_batch_as_it_was() -> None:
    for bundle in CASES.values():
        batch = pictures(bundle, 2)
        before = batch.copy()
        NativePlan(bundle).run(batch)
        np.testing.assert_array_equal(batch, before)


def test_a_batch_that_is_not_contiguous_is_taken() -> None:
    bundle = residual_bundle()
    batch = pictures(bundle, 6)
    np.testing.assert_array_equal(NativePlan(bundle).run(batch[::2]), NativePlan(bundle).run(batch[::2].copy()))


@pytest.mark.parametrize("count", [1, 3, 16, 21])
@pytest.mark.parametrize("threads", [1, 2])
def test_pictures_that_lie_apart_are_answered_as_a_batch_is(count: int, threads: int) -> None:
    bundle = residual_bundle()
    batch = pictures(bundle, count)
    plan = NativePlan(bundle, threads)
    apart = [picture.copy() for picture in batch[::-1]][::-1]
    apart[0] = np.asfortranarray(apart[0])
    assert isinstance(plan, GatheringPlan)
    np.testing.assert_array_equal(run_pictures(plan, apart), plan.run(batch))


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((3, 8, 9), dtype=np.float32),
        np.zeros((3, 8, 8), dtype=np.float64),
        np.zeros((8, 8), dtype=np.float32),
    ],
    ids=["wider", "float64", "grey"],
)
def test_pictures_of_another_kind_are_refused(wrong: np.ndarray) -> None:
    plan = NativePlan(residual_bundle())
    message = r"^pictures: must be one or more, float32 of \(3, 8, 8\)$"
    for batch in ([wrong], [np.zeros((3, 8, 8), dtype=np.float32), wrong], []):
        with pytest.raises(EngineFailure, match=message):
            plan.run_pictures(batch)


@pytest.mark.parametrize("strides", [(2, 2), (1, 2), (2, 1), (3, 3)])
@pytest.mark.parametrize("starts", [(0, 0, 0), (1, 1, 1), (0, 2, 3)])
@pytest.mark.parametrize("steps", [(1, 2, 2), (2, 1, 4), (1, 3, 3), (1, 2, 1)])
def test_a_map_may_be_picked_from_whose_other_reader_strides(
    strides: tuple[int, int], starts: tuple[int, int, int], steps: tuple[int, int, int]
) -> None:
    nodes = [
        Node("Conv", (0,), (0,), CONV, "stem"),
        Node("Conv", (1,), (1,), {**CONV, "strides": strides}, "conv"),
        Node("Slice", (1,), (), {"starts": starts, "ends": (4, 8, 8), "steps": steps}),
        Node("Flatten", (2,)),
        Node("Flatten", (3,)),
        Node("Concat", (4, 5)),
    ]
    bundle = bundle_of(nodes, [shared((4, 3, 3, 3)), shared((2, 4, 3, 3))])
    for count in (1, 5, 16):
        batch = pictures(bundle, count)
        for instruction_set in SETS:
            assert agrees(NativePlan(bundle, 1, instruction_set).run(batch), expected_of(bundle, batch))


def test_an_answer_is_the_same_every_time() -> None:
    bundle = NETWORKS["resnet20"]()
    batch = pictures(bundle, 5)
    plan = NativePlan(bundle, 2)
    first = plan.run(batch)
    plan.run(pictures(bundle, 16, seed=1))
    np.testing.assert_array_equal(plan.run(batch), first)


def test_overflow_shows_in_the_logits() -> None:
    bundle = residual_bundle()
    logits = NativePlan(bundle).run(np.full((1, *bundle.preprocessing.input_shape), 3e38, dtype=np.float32))
    assert not np.isfinite(logits).all()


def test_weights_take_less_than_one_and_a_half_times_eight_bytes_a_nonzero() -> None:
    for name, make in NETWORKS.items():
        bundle = make()
        plan = NativePlan(bundle)
        assert plan.weight_bytes < 1.5 * 8 * bundle.nonzeros, name
        assert plan.weight_bytes == sum(plan.layer_bytes.values())


@pytest.mark.parametrize("threads", [1, 3])
def test_layers_that_fill_large_pages_agree(threads: int) -> None:
    nodes = [
        Node("Conv", (0,), (0,), CONV, "wide"),
        Node("Conv", (1,), (1,), CONV, "sparse"),
        Node("Conv", (2,), (2,), CONV, "narrow"),
        Node("Flatten", (3,)),
        Node("Gemm", (4,), (3,), {}, "dense"),
    ]
    weights = [sparse((300, 3, 3, 3), 0.5, 0), sparse((300, 300, 3, 3), 0.4, 1), sparse((20, 300, 3, 3), 0.3, 2)]
    bundle = bundle_of(nodes, [*weights, floats((500, 20 * 64), 3)])
    assert 8 * bundle.nonzeros > 3 * (1 << 21)
    plan = NativePlan(bundle, threads)
    batch = pictures(bundle, 3)
    assert agrees(plan.run(batch), expected_of(bundle, batch))


def test_resident_bytes_grow_with_the_largest_batch_and_stay() -> None:
    bundle = residual_bundle()
    plan = NativePlan(bundle)
    assert plan.resident_bytes == plan.weight_bytes
    sizes = []
    for count in (1, 16, 64, 3, 16):
        plan.run(pictures(bundle, count))
        sizes.append(plan.resident_bytes - plan.weight_bytes)
    assert 0 < sizes[0] < sizes[1]
    assert sizes[1:] == [sizes[1]] * 4


def test_a_profile_names_every_step_and_answers_as_a_run_does() -> None:
    bundle = residual_bundle()
    plan = NativePlan(bundle)
    profile = plan.profile(pictures(bundle, 2))
    assert [name for name, _ in profile][:1] == ["stem"]
    assert all(seconds >= 0 for _, seconds in profile)
    with pytest.raises(EngineFailure):
        plan.profile(pictures(bundle, 2)[:, :1])


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (1, 3, 8, 9), (3, 8, 8)])
def test_a_batch_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(EngineFailure, match=r"must be float32 of \(n >= 1, 3, 8, 8\)"):
        NativePlan(residual_bundle()).run(np.zeros(shape, dtype=np.float32))


def test_an_unknown_instruction_set_is_refused() -> None:
    with pytest.raises(EngineUnavailable) as caught:
        NativePlan(residual_bundle(), 1, "mmx")
    assert str(caught.value) == f'instruction set "mmx": must be one of {", ".join(SETS)}'


def test_borders_too_large_for_the_engine_are_left_to_numpy(caplog: pytest.LogCaptureFixture) -> None:
    window = {**CONV, "pads": (40000, 40000, 40000, 40000), "strides": (65536, 65536)}
    bundle = bundle_of([Node("Conv", (0,), (0,), window, "conv")], [sparse((1, 3, 1, 1), 1.0, 0)])
    with caplog.at_level(logging.WARNING, "service.engine"):
        plan = compile_plan(bundle)
    assert isinstance(plan, NumpyPlan)
    assert "pass 2**31 pixels an image" in caplog.text


@pytest.mark.parametrize("count", [2, 3, 32, 37, 64])
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_that_run_parts_of_a_batch_alone_make_the_logits_of_one(count: int, threads: int) -> None:
    bundle = residual_bundle()
    batch = pictures(bundle, count)
    plan = NativePlan(bundle, threads)
    for _ in range(3):
        assert plan.run(batch).tobytes() == NativePlan(bundle, 1).run(batch).tobytes()
    np.testing.assert_allclose(plan.run(batch[:1]), plan.run(batch)[:1], rtol=1e-4, atol=1e-5)


def test_the_native_engine_is_the_cpu_engine(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "service.engine"):
        plan = compile_plan(residual_bundle(), threads=2)
    assert plan.name == f"native-{SETS[0]}"
    assert caplog.messages == [f"engine: native-{SETS[0]}"]


def test_numpy_takes_over_where_the_extension_is_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    original = builtins.__import__

    def without_native(name: str, *arguments: object) -> object:
        if name == "service.engine.native_engine":
            raise ImportError(name)
        return original(name, *arguments)  # type: ignore[arg-type]

    before = service.engine
    monkeypatch.setattr(service, "engine", before)  # importing it anew sets it; this puts it back afterwards
    monkeypatch.delitem(sys.modules, "service.engine")
    monkeypatch.setattr(builtins, "__import__", without_native)
    fresh = importlib.import_module("service.engine")
    assert fresh is not before
    with caplog.at_level(logging.WARNING, "service.engine"):
        plan = fresh.compile_plan(residual_bundle())
    assert plan.name == "numpy"
    assert caplog.messages == ["engine: numpy, as the native engine was not built"]


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda builder: builder.clamp(1, (0.0, 1.0)), "network: value"),
        (lambda builder: builder.pool(True, 0, (3, 4, 4), (0, 1), (1, 1), (0, 0), False), "pool: window"),
        (lambda builder: builder.assembly([(0, (0, 0, 0), (1, 1, 1), (3, 5, 4), (0, 0, 0))], (3, 5, 4)), "assembly"),
        (lambda builder: builder.compile(SETS[0], 1), "plan: no layers"),
        (lambda builder: builder.compile("mmx", 1), "instruction set"),
    ],
)
def test_the_extension_refuses_what_does_not_fit(declare: object, message: str) -> None:
    assert callable(declare)
    with pytest.raises(ValueError, match=message):
        declare(_native.Builder((3, 4, 4)))


@pytest.mark.parametrize("positions", [[0, 0], [1, 0], [0, 27], [-1, 2]])
def test_positions_that_do_not_rise_within_the_weight_are_refused(positions: list[int]) -> None:
    builder = _native.Builder((3, 3, 3))
    where = np.array(positions, dtype=np.int32)
    declare_convolution(builder, where, np.zeros(0, np.uint16), np.ones(2, np.float32))
    with pytest.raises(ValueError, match="positions"):
        builder.compile(SETS[0], 1)


def test_what_a_layer_is_made_of_lasts_until_the_plan_is_compiled() -> None:
    builder = _native.Builder((3, 3, 3))
    where = np.arange(2, dtype=np.int32)
    held = sys.getrefcount(where)
    declare_convolution(builder, where, np.zeros(0, np.uint16), np.ones(2, np.float32))
    assert sys.getrefcount(where) > held
    plan = builder.compile(SETS[0], 1)
    assert plan.layer_bytes
    assert sys.getrefcount(where) == held


@pytest.mark.parametrize(("codes", "values"), [([0, 2], 2), ([0], 2), ([0, 0, 0], 2), ([], 3), ([0, 0], 0)])
def test_codes_that_do_not_fit_positions_and_values_are_refused(codes: list[int], values: int) -> None:
    builder = _native.Builder((3, 3, 3))
    with pytest.raises(ValueError, match="positions and values|codes"):
        declare_convolution(builder, np.arange(2), np.array(codes, np.uint16), np.ones(values, np.float32))


def declare_convolution(builder: _native.Builder, positions: np.ndarray, codes: np.ndarray, values: np.ndarray) -> None:
    one, none = (1, 1), np.zeros(0, np.float32)
    builder.convolution(0, (1, 1, 1), positions, codes, values, none, none, (3, 3), one, one, (0, 0), 1, -1, (0.0, 1.0))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_row_of_too_many_non_zeros_is_refused_whichever_thread_finds_it(threads: int) -> None:
    builder = _native.Builder((140_000, 1, 1))
    one, none = (1, 1), np.zeros(0, np.float32)
    where, codes, values = np.arange(140_000), np.zeros(140_000, np.uint16), np.ones(1, np.float32)
    builder.convolution(0, (2, 1, 1), where, codes, values, none, none, one, one, one, (0, 0), 2, -1, (0.0, 1.0))
    with pytest.raises(RuntimeError, match="convolution: 65,536 non-zeros in a row's block"):
        builder.compile(SETS[0], threads)
