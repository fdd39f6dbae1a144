"""Which plans are in memory: as many bytes as the settings allow, those used last, and always those in use."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from service.errors import NoRoom
from service.loading import Key, LoadedModel


class Residency:
    """Loaded versions by key, the one used last at the end. Used from one event loop.

    A version that is replaced or retired while requests use it stays, and counts, until the last of them is done.
    """

    def __init__(
        self,
        limit_bytes: int,
        on_entry: Callable[[LoadedModel], object] = lambda model: None,
        on_leaving: Callable[[LoadedModel], object] = lambda model: None,
        on_eviction: Callable[[], object] = lambda: None,
    ) -> None:
        """An empty memory.

        Args:
            limit_bytes: most bytes of all plans. There may be more for a moment: the plan that waits to be let in, and
                one that is replaced, until it is used no more.
            on_entry: told of each version that comes.
            on_leaving: told of each version that leaves, for whatever reason, once it is used no more.
            on_eviction: called where a version leaves to make room.
        """
        self._limit_bytes = limit_bytes
        self._on_entry = on_entry
        self._on_leaving = on_leaving
        self._on_eviction = on_eviction
        self._models: OrderedDict[Key, LoadedModel] = OrderedDict()
        self._leaving: set[LoadedModel] = set()
        self._users: dict[LoadedModel, int] = {}
        self._waiting: set[asyncio.Event] = set()

    @property
    def resident_bytes(self) -> int:
        """Bytes that all plans hold."""
        return sum(model.plan.resident_bytes for model in (*self._models.values(), *self._leaving))

    def all(self) -> list[LoadedModel]:
        """What is loaded, by name and version; what leaves is not listed."""
        return [self._models[key] for key in sorted(self._models)]

    def holds(self, key: Key) -> bool:
        """Whether a version is there. Does not count as use."""
        return key in self._models

    def get(self, key: Key) -> LoadedModel | None:
        """A version, if it is there. It was used last, from now on."""
        model = self._models.get(key)
        if model is not None:
            self._models.move_to_end(key)
        return model

    @contextmanager
    def used(self, model: LoadedModel) -> Iterator[None]:
        """Keep a version in memory."""
        self.hold(model)
        try:
            yield
        finally:
            self.release(model)

    def hold(self, model: LoadedModel) -> None:
        """Keep a version in memory, until it is released as often as it was held."""
        self._users[model] = self._users.get(model, 0) + 1

    def release(self, model: LoadedModel) -> None:
        """Keep it no more for one who held it."""
        self._users[model] -= 1
        if not self._users[model]:
            del self._users[model]
            self._left_alone(model)

    def fits(self, size_bytes: int) -> bool:
        """Whether a plan of that size fits beside all others."""
        return self.resident_bytes + size_bytes <= self._limit_bytes

    def make_room(self, size_bytes: int, gone: Collection[Key]) -> bool:
        """Let versions go that nobody uses, those used longest ago first, until a plan of that size fits.

        Args:
            size_bytes: of the plan to come.
            gone: versions that the new one replaces; they count no more.

        Returns:
            Whether it fits. If not, nothing has gone.

        Raises:
            NoRoom: it would not fit in an empty memory.
        """
        if size_bytes > self._limit_bytes:
            raise NoRoom(f"resident_bytes {size_bytes}, must be at most {self._limit_bytes}")
        kept = [each for key, each in self._models.items() if key not in gone]
        idle = [each for each in kept if each not in self._users]
        allowed = self._limit_bytes - size_bytes
        held = sum(each.plan.resident_bytes for each in (*kept, *self._leaving))
        if held - sum(each.plan.resident_bytes for each in idle) > allowed:
            return False
        for each in idle:
            if held <= allowed:
                break
            held -= each.plan.resident_bytes
            self.retire(each.key)
            self._on_eviction()
        return True

    def put(self, model: LoadedModel) -> None:
        """Take a version in, in the place of what has its key."""
        self.retire(model.key)
        self._models[model.key] = model
        self._on_entry(model)

    async def wait_for_room(self) -> None:
        """Return when some version is used no more."""
        freed = asyncio.Event()
        self._waiting.add(freed)
        try:
            await freed.wait()
        finally:
            self._waiting.discard(freed)

    def retire(self, key: Key) -> None:
        """Let a version go, as soon as it is used no more."""
        model = self._models.pop(key, None)
        if model is None:
            return
        if model in self._users:
            self._leaving.add(model)
        else:
            self._on_leaving(model)

    def _left_alone(self, model: LoadedModel) -> None:
        if model in self._leaving:
            self._leaving.discard(model)
            self._on_leaving(model)
        for freed in self._waiting:
            freed.set()
