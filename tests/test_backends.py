"""How a network gets its backend."""

import numpy as np
import pytest
from drawing import picture, small_vgg

from nst_numpy import backends
from nst_numpy.backends import Backend, plain
from nst_numpy.backends.fast import Fast


def test_create_by_name():
    assert backends.create("plain") is plain
    fast = backends.create("fast", 3, np.float64)
    assert isinstance(fast, Fast) and fast.workers.threads == 3


def test_create_refuses_what_is_no_backend():
    with pytest.raises(ValueError, match="unknown backend 'fats'; did you mean fast"):
        backends.create("fats")
    with pytest.raises(ValueError, match="threads must be a whole number of at least 1, found 0"):
        backends.create("plain", 0)
    with pytest.raises(TypeError, match="threads must be"):
        backends.create("fast", "2")

    class Half:
        session = prepare = conv_relu_forward = conv_relu_backward = staticmethod(print)
        pool_forward = 3

    with pytest.raises(TypeError, match=r"found Half without pool_forward, pool_backward, conv_relu_pool_forward,"):
        backends.create(Half())
    with pytest.raises(TypeError, match=r"backend must be one of fast, plain, or an object .* found NoneType without"):
        backends.create(None)


def test_a_network_runs_on_an_object_of_ones_own():
    """One that writes down what it is asked for, and nothing but the protocol's functions."""
    calls = []

    def handing_on(name):
        def function(*arguments):
            calls.append(name)
            return getattr(plain, name)(*arguments)

        return function

    functions = [name for name in vars(Backend) if not name.startswith("_")]
    own = type("Own", (), {name: staticmethod(handing_on(name)) for name in functions})()
    assert backends.create(own) is own
    network, x = small_vgg(last="conv2_1", backend=own), picture(0, 9, 10)
    features, tape = network.forward(x, ["conv1_1", "conv2_1"])
    expected, plain_tape = small_vgg(last="conv2_1", backend="plain").forward(x, ["conv1_1", "conv2_1"])
    assert all(np.array_equal(features[l], expected[l]) for l in expected)
    dx = network.backward(features, tape)
    assert np.array_equal(dx, small_vgg(last="conv2_1", backend="plain").backward(expected, plain_tape))
    assert (
        calls
        == [
            *["prepare"] * 3,
            *["session", "conv_relu_forward", "conv_relu_pool_forward", "conv_relu_forward"],
            *["session", "conv_relu_backward", "conv_relu_pool_backward", "conv_relu_backward"],
        ]
        or calls[0] == "session"
    )
