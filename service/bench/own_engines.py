"""The service's own engines, which load bundles."""

from collections.abc import Callable, Mapping

from model_store.bundle import Bundle, check_bundle, decode_bundle, decode_coded
from service.bench.engine import FIRST_RUN, Stopwatch
from service.bench.inputs import Files
from service.engine.numpy_engine import NumpyPlan
from service.engine.plan import Array, Plan


class BundleEngine:
    """Plans of one kind, and the threads that decode what they are made of."""

    def __init__(self, compile_bundle: Callable[[Bundle], Plan], threads: int = 1) -> None:
        self._compile = compile_bundle
        self._threads = threads

    def prepare(self, files: Files, pictures: Array) -> None:
        self._plan = self._compile(decode_bundle(files.bundle.read_bytes()))
        self._pictures = pictures

    def run(self) -> Array:
        return self._plan.run(self._pictures)

    def logits(self, answer: Array) -> Array:
        return answer

    def load(self, files: Files, picture: Array) -> Mapping[str, float]:
        """From the file's bytes to a plan: the digest and every field verified, weights decoded, the plan compiled."""
        watch = Stopwatch()
        data = files.bundle.read_bytes()
        watch.lap("read")
        coded = check_bundle(data)
        watch.lap("verify")
        bundle = decode_coded(coded, self._threads)
        watch.lap("decode")
        plan = self._compile(bundle)
        watch.lap("compile")
        plan.run(picture)
        watch.lap(FIRST_RUN)
        return watch.laps


def native_engine(threads: int, instruction_set: str) -> BundleEngine:
    """The C++ engine; the fastest instruction set where none is named."""
    from service.engine.native_engine import NativePlan

    return BundleEngine(lambda bundle: NativePlan(bundle, threads, instruction_set), threads)


def numpy_engine() -> BundleEngine:
    """The numpy engine. Its threads are BLAS's, which the process was started with."""
    return BundleEngine(NumpyPlan)
