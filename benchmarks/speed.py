"""Time and memory of one optimisation step, also of PyTorch beside it.

    python benchmarks/speed.py [--size N] [--against torch] [--threads N] [--rounds N] [--json]

The step is that of the paper: VGG-19 up to conv5_1 (random filters of the full widths), average pooling, content at
conv4_2, style at conv1_1 … conv5_1; forward sweep, losses, and backward sweep to the pixels, in float32.

Each contestant runs in its own process and waits for orders. Their steps alternate, so that a busy machine slows all of
them alike, and the fastest step counts. Convolutions are counted as direct ones, 2 · 9 · C · K · H · W operations,
whatever the method.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from nst_numpy import backends
from nst_numpy.backends import Backend
from nst_numpy.network import VGG
from nst_numpy.objective import Objective
from nst_numpy.topology import FILTERS, block, layer_names, reduction
from nst_numpy.validation import check_number
from nst_numpy.weights.random import he_kernels

CONTENT, STYLE = "conv4_2", ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
CONTESTANTS = {"nst_numpy": "nst_numpy", "torch": "PyTorch", "torch-channels-last": "PyTorch, channels last"}


def bench(size: int = 512, against: str | None = None, threads: int | None = None, rounds: int = 7) -> dict:
    """Measure one step at size × size pixels.

    Parameters
    ----------
    size : int
        At least 16.
    against : {None, "torch"}
        Measure PyTorch too, in both of its memory layouts.
    threads : int, optional
        For each contestant; by default one for each core.
    rounds : int
        Steps of each contestant, after one to warm up.

    Returns
    -------
    dict
        "size", "threads", "matrix_product" (the machine's float32 rate, GFLOP/s); "contestants": name → "step"
        (seconds), "memory" (peak of the whole process over what it held before its first sweep, bytes) and "kernels"
        (bytes of it that are transformed kernels); and of nst_numpy "convolutions" (all together: "seconds", and "rate"
        in GFLOP/s) and "layers": name → "forward" and "backward" (seconds), "operations".

    Raises
    ------
    ValueError
        If a number is out of range, PyTorch is asked for and not installed, or a contestant ends early.
    """
    for name, value, least in (("size", size, 16), ("rounds", rounds, 1), ("threads", threads, 1)):
        if value is not None:
            check_number(name, value, whole=True, least=least)
    if against == "torch" and importlib.util.find_spec("torch") is None:
        raise ValueError("PyTorch is not installed; pip install '.[oracle]' installs it")
    names = ["nst_numpy"] + (["torch", "torch-channels-last"] if against == "torch" else [])
    children = {name: _Child(name, size, threads) for name in names}
    try:
        for child in children.values():
            child.ask("step")  # to warm up
        rate = children["nst_numpy"].ask("rate")
        steps = {name: [] for name in names}
        for _ in range(rounds):
            for name, child in children.items():
                steps[name].append(child.ask("step"))
        result = {"size": size, "matrix_product": rate, "contestants": {}}
        for name, child in children.items():
            result["contestants"][name] = {"step": min(steps[name]), **child.ask("memory")}
        result.update(children["nst_numpy"].ask("layers"))
        return result
    finally:
        for child in children.values():
            child.end()


def table(result: dict) -> str:
    """What `bench` measured, as text."""
    size, rate, ours = result["size"], result["matrix_product"], result["contestants"]["nst_numpy"]
    lines = [
        f"One step at {size}×{size} pixels, threads: {result['threads']}; matrix products {rate:.0f} GFLOP/s (float32)",
        "",
        f"{'':24}{'step':>10}{'':>8}{'memory':>10}{'':>8}",
    ]
    for name, c in result["contestants"].items():
        memory = c["memory"] - c["kernels"]
        faster, smaller = c["step"] / ours["step"], memory / (ours["memory"] - ours["kernels"])
        lines.append(
            f"{CONTESTANTS[name]:24}{c['step'] * 1e3:7.0f} ms{faster:7.2f}×{memory / 2**20:7.0f} MB{smaller:7.2f}×"
            + (f"   and {c['kernels'] / 2**20:.0f} MB of transformed kernels" if c["kernels"] else "")
        )
    total = result["convolutions"]
    lines += [
        "",
        f"convolutions of nst_numpy, counted as direct: {total['rate']:.0f} GFLOP/s, "
        f"{total['rate'] / rate:.2f} times the rate of matrix products",
        "",
        f"{'':16}{'forward':>11}{'':>22}{'backward':>11}",
    ]
    for layer, t in result["layers"].items():
        line = f"{layer:16}"
        for sweep in ("forward", "backward"):
            line += f"{t[sweep] * 1e3:8.1f} ms"
            layer_rate = t["operations"] / t[sweep] / 1e9
            line += f"{layer_rate:7.0f} GFLOP/s{layer_rate / rate:6.2f}×"
        lines.append(line)
    return "\n".join(lines)


class _Child:
    """A contestant in its own process: an order goes in as a line, its answer comes out as a line of JSON."""

    def __init__(self, name: str, size: int, threads: int | None):
        command = [sys.executable, __file__, "--contestant", name, "--size", str(size)]
        command += ["--threads", str(threads)] if threads else []
        self._name = name
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, order: str):
        try:
            self._process.stdin.write(order + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self._process.stdout.readline()
        if not answer:
            raise ValueError(
                f"{CONTESTANTS[self._name]} could not be measured: its process ended; is there enough memory?"
            )
        return json.loads(answer)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


# In the child ---------------------------------------------------------------------------------------------------------


def weights() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    kernels = he_kernels(np.random.default_rng(0), FILTERS, "conv5_1")
    return {layer: (kernel.astype(np.float32), np.zeros(kernel.shape[3], np.float32)) for layer, kernel in kernels}


def image(seed: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).random((size, size, 3), np.float32)


class Timed(Backend):
    """A backend that hands every call on to another one, and times those of the layers."""

    def __init__(self, backend: Backend):
        self.backend = backend
        self.calls: list[tuple[str, Any, float]] = []  # (function, prepared weights, seconds)

    def _timed(self, function: str, prepared: Any, *arguments: Any) -> Any:
        start = time.perf_counter()
        result = getattr(self.backend, function)(*arguments)
        self.calls.append((function, prepared, time.perf_counter() - start))
        return result

    def session(self) -> AbstractContextManager[None]:
        return self.backend.session()

    def prepare(self, kernel: np.ndarray, bias: np.ndarray, padding: str = "zero") -> Any:
        return self.backend.prepare(kernel, bias, padding)

    def conv_relu_forward(self, x: np.ndarray, prepared: Any) -> tuple[np.ndarray, Any]:
        return self._timed("conv_relu_forward", prepared, x, prepared)

    def conv_relu_backward(self, dy: np.ndarray, prepared: Any, cache: Any) -> np.ndarray:
        return self._timed("conv_relu_backward", prepared, dy, prepared, cache)

    def pool_forward(self, x: np.ndarray, kind: str) -> tuple[np.ndarray, Any]:
        return self._timed("pool_forward", None, x, kind)

    def pool_backward(self, dy: np.ndarray, kind: str, cache: Any) -> np.ndarray:
        return self._timed("pool_backward", None, dy, kind, cache)

    def conv_relu_pool_forward(self, x: np.ndarray, prepared: Any, kind: str) -> tuple[np.ndarray, Any]:
        return self._timed("conv_relu_pool_forward", prepared, x, prepared, kind)

    def conv_relu_pool_backward(self, dy: np.ndarray, prepared: Any, kind: str, cache: Any) -> np.ndarray:
        return self._timed("conv_relu_pool_backward", prepared, dy, prepared, kind, cache)

    def gram(self, a: np.ndarray) -> np.ndarray:
        return self.backend.gram(a)

    def gram_backward(self, dG: np.ndarray, a: np.ndarray, da: np.ndarray | None = None) -> np.ndarray:
        return self.backend.gram_backward(dG, a, da)


class _Ours:
    def __init__(self, size: int, threads: int | None):
        engine = backends.create("fast", threads)
        self.threads = engine.workers.threads
        self.timed = Timed(engine)
        self.network = VGG(weights(), np.zeros(3), 1 / 255, backend=self.timed)
        self.size, self.x = size, image(2, size)

    def targets(self) -> None:
        self.objective = Objective.from_images(
            self.network,
            image(0, self.size),
            image(1, self.size),
            content_layers={CONTENT: 1.0},
            style_layers=dict.fromkeys(STYLE, 0.2),
            content_weight=1.0,
            style_weight=1000.0,
            tv_weight=0.0,
        )

    def step(self) -> None:
        self.timed.calls.clear()
        self.objective(self.x)

    def kernels(self) -> int:
        """Bytes of transformed kernels."""
        return sum(prepared.nbytes for prepared in self.network.prepared.values())

    def rate(self) -> float:
        a = np.ones((2048, 2048), np.float32)
        return 2 * 2048**3 / min(_time(lambda: a @ a) for _ in range(5)) / 1e9

    def layers(self) -> dict:
        """Each layer's share of a step, best of five."""
        names = {id(prepared): layer for layer, prepared in self.network.prepared.items()}
        runs: dict[str, dict[str, float]] = {}
        for _ in range(5):
            self.step()
            for function, prepared, seconds in self.timed.calls:
                name, sweep = names[id(prepared)], function.rsplit("_", 1)[1]
                pixels = (self.size // reduction(name)) ** 2
                operations = 2 * self.network.convolutions[name][0].size * pixels
                if "pool" in function:
                    name += f" + pool{block(name)}"
                run = runs.setdefault(name, {"operations": operations})
                run[sweep] = min(run.get(sweep, seconds), seconds)
        seconds = sum(t["forward"] + t["backward"] for t in runs.values())
        operations = 2 * sum(t["operations"] for t in runs.values())
        total = {"seconds": seconds, "rate": operations / seconds / 1e9}
        return {"threads": self.threads, "convolutions": total, "layers": runs}


class _Torch:
    def __init__(self, size: int, threads: int | None, channels_last: bool):
        import torch

        self.torch = torch
        if threads:
            torch.set_num_threads(threads)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.weights = {
            name: (torch.tensor(k).permute(3, 2, 0, 1).contiguous(memory_format=layout), torch.tensor(b))
            for name, (k, b) in weights().items()
        }
        self.image = lambda seed: (
            torch.tensor(image(seed, size)).permute(2, 0, 1)[None].contiguous(memory_format=layout)
        )
        self.x = self.image(2).requires_grad_(True)

    def features(self, a):
        torch, found = self.torch, {}
        for name in layer_names("vgg19"):
            if name in self.weights:
                kernel, bias = self.weights[name]
                a = torch.relu_(torch.nn.functional.conv2d(a, kernel, bias, padding=1))
            else:
                a = torch.nn.functional.avg_pool2d(a, 2)
            if name in (CONTENT, *STYLE):
                found[name] = a
            if name == "conv5_1":
                return found

    def grams(self, features):
        matrices = {l: features[l].flatten(2)[0] for l in STYLE}
        return {l: F @ F.T / (F.shape[0] * F.shape[1]) for l, F in matrices.items()}

    def targets(self) -> None:
        with self.torch.no_grad():
            self.A = self.grams(self.features(self.image(1)))
            self.P = self.features(self.image(0))[CONTENT]

    def step(self) -> None:
        self.x.grad = None
        features = self.features(self.x)
        loss = 0.5 * ((features[CONTENT] - self.P) ** 2).mean()
        for l, G in self.grams(features).items():
            loss = loss + 50 * ((G - self.A[l]) ** 2).sum()
        loss.backward()

    def kernels(self) -> int:
        return 0


def _time(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _resident() -> int:
    """Bytes in memory now; where the system does not tell, the most until now."""
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(status.read_text().split("VmRSS:")[1].split()[0])
    return _peak()


def _peak() -> int:
    """The most bytes in memory until now."""
    import resource  # Windows has none

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _answer_orders(name: str, size: int, threads: int | None) -> None:
    """Be the contestant `name`."""
    contestant = _Ours(size, threads) if name == "nst_numpy" else _Torch(size, threads, name.endswith("channels-last"))
    before = _resident()
    contestant.targets()
    answers = {
        "step": lambda: _time(contestant.step),
        "memory": lambda: {"memory": _peak() - before, "kernels": contestant.kernels()},
        "rate": lambda: contestant.rate(),
        "layers": lambda: contestant.layers(),
    }
    for order in sys.stdin:
        print(json.dumps(answers[order.strip()]()), flush=True)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = _Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=512, help="of the square image, in pixels (default 512)")
    parser.add_argument("--against", choices=["torch"], help="measure PyTorch too, in both of its memory layouts")
    parser.add_argument("--threads", type=int, help="by default one for each core")
    parser.add_argument("--rounds", type=int, default=7, help="measured steps of each contestant (default 7)")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.contestant:
        _answer_orders(options.contestant, options.size, options.threads)
        return 0
    try:
        result = bench(options.size, options.against, options.threads, options.rounds)
    except ValueError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return 130
    print(json.dumps(result, indent=2) if options.json else table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
