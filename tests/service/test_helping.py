import asyncio
import socket
import threading
import time

import pytest

from service.helping import HelpingSelector, helping_loop


@pytest.fixture
def pair() -> "tuple[socket.socket, socket.socket]":
    first, second = socket.socketpair()
    return first, second


def test_a_loop_that_would_sleep_helps_instead_and_looks_again() -> None:
    helped: list[float | None] = []

    def help_out() -> bool:
        helped.append(None)
        return len(helped) == 1

    with HelpingSelector(help_out) as selector:
        assert selector.select(None) == []  # would wait for ever, as nothing is registered
        started_s = time.monotonic()
        assert selector.select(0.05) == []
    assert len(helped) == 2
    assert time.monotonic() - started_s >= 0.04  # there was nothing to help with: it slept


def test_a_loop_with_something_to_do_does_not_help(pair: "tuple[socket.socket, socket.socket]") -> None:
    def help_out() -> bool:
        raise AssertionError("it has no time")

    first, second = pair
    with first, second, HelpingSelector(help_out) as selector:
        assert selector.select(0) == []  # callbacks wait
        selector.register(first, 1)
        second.send(b"x")
        assert [key.fileobj for key, _ in selector.select(None)] == [first]


def test_what_comes_while_it_helps_is_not_waited_for(pair: "tuple[socket.socket, socket.socket]") -> None:
    first, second = pair

    def help_out() -> bool:
        second.send(b"x")
        return True

    with first, second, HelpingSelector(help_out) as selector:
        selector.register(first, 1)
        assert [key.fileobj for key, _ in selector.select(None)] == [first]


def test_a_running_loop_helps_in_its_own_thread_and_its_callbacks_go_on() -> None:
    threads: list[int] = []
    due = 3

    def help_out() -> bool:
        if len(threads) == due:
            return False
        threads.append(threading.get_ident())
        asyncio.get_running_loop().call_soon(done.append, len(threads))
        return True

    done: list[int] = []
    loop = helping_loop(help_out)
    try:
        loop.run_until_complete(asyncio.sleep(0.01))
    finally:
        loop.close()
    assert threads == [threading.get_ident()] * due
    assert done == [1, 2, 3]
