"""Memory that is used again, never while an array refers to it."""

import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nst_numpy.backends import buffers as module
from nst_numpy.backends.buffers import Buffers


def address(array):
    return array.ctypes.data


def small_buffers(block):
    buffers = Buffers()
    buffers.BLOCK = block
    return buffers


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("shape", [(3, 4, 5), (7,), (0, 4), ()])
def test_an_array_of_the_shape_and_type_asked_for(shape, dtype):
    array = Buffers().take(shape, dtype)
    assert array.shape == shape and array.dtype == dtype
    assert array.flags.c_contiguous and array.flags.writeable and array.flags.aligned


def test_memory_is_used_again_when_no_view_refers_to_it():
    buffers = Buffers()
    first = buffers.take((10, 10), np.float32)
    start, view = address(first), first[2:].T
    second = buffers.take((10, 10), np.float32)
    assert address(second) >= start + first.nbytes
    del first
    assert address(buffers.take((10, 10), np.float32)) != start, "a view still refers to it"
    del view
    assert address(buffers.take((5, 15), np.float32)) == start


@pytest.mark.parametrize("size", [64, 60, 1, 0])
def test_the_lowest_place_that_is_large_enough_is_taken(size):
    """Pieces of 64 bytes in a block of 256: the third is freed, then also the first, and the second."""
    buffers = small_buffers(256)
    pieces = [buffers.take((64,), np.uint8) for _ in range(4)]
    places = [address(piece) for piece in pieces]
    assert np.diff(places).tolist() == [64, 64, 64] and buffers.nbytes == 256
    pieces[2] = None
    pieces[2] = buffers.take((size,), np.uint8)
    assert address(pieces[2]) == places[2] or size == 0  # NumPy has its own address for nothing
    pieces[2] = pieces[0] = None
    pieces[0] = buffers.take((size or 64,), np.uint8)
    assert address(pieces[0]) == places[0]
    pieces[0] = pieces[1] = None
    pieces[0] = buffers.take((65,), np.uint8)
    assert address(pieces[0]) == places[0]
    last = buffers.take((64,), np.uint8)
    assert address(last) == places[2] and buffers.nbytes == 256
    more = buffers.take((1,), np.uint8)
    assert buffers.nbytes == 512 and more.size == 1


def test_what_is_larger_than_a_block_gets_a_block_of_its_size():
    buffers = small_buffers(256)
    large = buffers.take((1000,), np.uint8)
    assert buffers.nbytes == 1024 and large.nbytes == 1000
    small = buffers.take((10,), np.uint8)
    assert buffers.nbytes == 1280 and small.nbytes == 10


def test_by_default_a_block_is_a_gigabyte():
    buffers = Buffers()
    buffers.take((1,), np.uint8)
    assert buffers.nbytes == 2**30


def test_without_memory_for_a_block_what_is_needed_will_do(monkeypatch):
    empty = np.empty

    def scarce(size, dtype):
        if size > 1000:
            raise MemoryError
        return empty(size, dtype)

    buffers = Buffers()
    monkeypatch.setattr(np, "empty", scarce)
    array = buffers.take((100,), np.uint8)
    assert array.nbytes == 100 and buffers.nbytes == 128
    with pytest.raises(MemoryError):
        buffers.take((2000,), np.uint8)
    assert buffers.nbytes == 128


def test_arrays_outlive_their_buffers():
    array = Buffers().take((100,), np.float64)
    array[:] = np.arange(100)
    for _ in range(3):
        Buffers().take((100,), np.float64)[:] = -1
    assert np.array_equal(array, np.arange(100))


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 9)), max_size=40))
def test_arrays_never_overlap(requests):
    buffers, held = small_buffers(5000), []
    for value, (size, drop) in enumerate(requests):
        if drop < len(held):
            del held[drop]
        array = buffers.take((size,), np.uint8)
        array[:] = value % 256
        held.append((value, array))
        del array
    assert all((array == value % 256).all() for value, array in held)


def test_arrays_of_several_threads_never_overlap():
    buffers, wrong = small_buffers(3000), []

    def run(value):
        for _ in range(300):
            array = buffers.take((value * 100,), np.uint8)
            array[:] = value
            wrong.extend(array[array != value])
            del array

    threads = [threading.Thread(target=run, args=(k,)) for k in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and buffers.nbytes <= 6 * 3000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_waits_until_nobody_takes(monkeypatch):
    """The child must not inherit a lock that is held."""
    taking, empty, buffers = threading.Event(), np.empty, Buffers()

    def slow(size, dtype):
        taking.set()
        time.sleep(0.2)
        return empty(size, dtype)

    monkeypatch.setattr(module.np, "empty", slow)
    team = ThreadPoolExecutor(1)
    taken = team.submit(buffers.take, (10,), np.uint8)
    assert taking.wait(timeout=30)
    child = multiprocessing.get_context("fork").Process(target=buffers.take, args=((10,), np.uint8))
    child.start()
    child.join(timeout=30)
    ended = child.exitcode
    child.kill()
    assert taken.result(timeout=30).size == 10
    assert ended == 0 and buffers.take((10,), np.uint8).size == 10
