"""Time and memory of one optimisation step, also of PyTorch beside it.

    python benchmarks/speed.py [--weights NAME] [--size N] [--against torch] [--threads N] [--rounds N] [--json]

The step is that of the paper: VGG-19 up to conv5_1 (random filters of the full widths), average pooling, content at
conv4_2, style at conv1_1 … conv5_1; forward sweep, losses, and backward sweep to the pixels, in float32. With
`--weights vgg19-mini` it is that of `transfer` with its defaults, and so with any other network. PyTorch computes the
same loss: if the values differ, there is an error.

Each contestant runs in its own process and waits for orders. Their steps alternate, so that a busy machine slows all of
them alike, and the fastest step counts. Convolutions are counted as direct ones, 2 · 9 · C · K · H · W operations,
whatever the method.
"""

import argparse
import importlib.util
import json
import math
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NoReturn

import llvmlite.binding
import numpy as np
import threadpoolctl

from nst_numpy import backends, load_weights
from nst_numpy.backends import Backend, fast
from nst_numpy.network import VGG
from nst_numpy.objective import Objective
from nst_numpy.topology import FILTERS, block, layer_names, reduction
from nst_numpy.validation import check_number
from nst_numpy.weights.random import he_kernels

CONTENT, STYLE = "conv4_2", ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
CONTESTANTS = {"nst_numpy": "nst_numpy", "torch": "PyTorch", "torch-channels-last": "PyTorch, channels last"}


def bench(
    size: int = 512, against: str | None = None, threads: int | None = None, rounds: int = 7, weights: str | None = None
) -> dict:
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
    weights : str, optional
        The network, with the library's own losses; by default VGG-19 with random filters and the paper's losses.

    Returns
    -------
    dict
        "size", "weights", "threads", "machine" (see `machine`), "matrix_product" (the machine's float32 rate, GFLOP/s);
        "contestants": name → "loss", "step"
        (seconds), "memory" (peak of the whole process over what it held before its first sweep, bytes) and "kernels"
        (bytes of it that are transformed kernels); and of nst_numpy "convolutions" (all together: "seconds", and "rate"
        in GFLOP/s), "layers": name → "method", "forward" and "backward" (seconds), "operations", and "rules": the
        limits by which the fast backend chooses methods and cuts the work.

    Raises
    ------
    ValueError
        If a number is out of range, PyTorch is asked for and not installed, a contestant ends early, or their losses
        differ.
    """
    for name, value, least in (("size", size, 16), ("rounds", rounds, 1), ("threads", threads, 1)):
        if value is not None:
            check_number(name, value, whole=True, least=least)
    if against == "torch" and importlib.util.find_spec("torch") is None:
        raise ValueError("PyTorch is not installed; pip install '.[oracle]' installs it")
    names = ["nst_numpy"] + (["torch", "torch-channels-last"] if against == "torch" else [])
    children = {name: _Child(name, size, threads, weights) for name in names}
    try:
        terms = children["nst_numpy"].ask("targets", None)
        for name in names[1:]:
            children[name].ask("targets", terms)
        losses = {name: child.ask("loss") for name, child in children.items()}  # to warm up, too
        if not all(math.isclose(loss, losses["nst_numpy"], rel_tol=1e-3) for loss in losses.values()):
            raise ValueError(f"the contestants do not compute the same loss: {losses}")
        rate = children["nst_numpy"].ask("rate")
        steps = {name: [] for name in names}
        for _ in range(rounds):
            for name, child in children.items():
                steps[name].append(child.ask("step"))
        result = {"size": size, "weights": weights, "machine": machine(), "matrix_product": rate, "contestants": {}}
        for name, child in children.items():
            result["contestants"][name] = {"loss": losses[name], "step": min(steps[name]), **child.ask("memory")}
        result.update(children["nst_numpy"].ask("layers"))
        return result
    finally:
        for child in children.values():
            child.end()


def machine() -> dict:
    """What figures depend on: the CPU, its caches (bytes), the library for matrix products, and its kernels."""
    cpu = Path("/proc/cpuinfo")
    model = re.search(r"^model name\s*: (.*)", cpu.read_text() if cpu.exists() else "", re.MULTILINE)
    caches = {}
    for cache in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        level, kind, size = ((cache / what).read_text().strip() for what in ("level", "type", "size"))
        if kind != "Instruction":
            caches[f"L{level}"] = int(size.removesuffix("K")) * 1024
    blas = next((x for x in threadpoolctl.threadpool_info() if x["user_api"] == "blas"), {})
    return {
        "cpu": model[1] if model else platform.processor(),
        "architecture": llvmlite.binding.get_host_cpu_name(),
        "caches": dict(sorted(caches.items())),
        "blas": f"{blas.get('internal_api')} {blas.get('version')}",
        "blas_kernels": blas.get("architecture"),  # chosen by the CPU, or by an environment variable of the BLAS
    }


def table(result: dict) -> str:
    """What `bench` measured, as text."""
    size, rate, ours = result["size"], result["matrix_product"], result["contestants"]["nst_numpy"]
    on = result["machine"]
    caches = ", ".join(f"{name} {n // 1024} kB" for name, n in on["caches"].items())
    lines = [
        f"{on['cpu']} ({on['architecture']}), caches of a core: {caches or 'unknown'}",
        f"{on['blas']} with the kernels for {on['blas_kernels']}; "
        f"{result['weights'] or 'VGG-19 with random filters, losses of the paper'}",
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
        f"{'':24}{'forward':>11}{'':>22}{'backward':>11}",
    ]
    for layer, t in result["layers"].items():
        line = f"{layer:16}{t['method']:8}"
        for sweep in ("forward", "backward"):
            line += f"{t[sweep] * 1e3:8.1f} ms"
            layer_rate = t["operations"] / t[sweep] / 1e9
            line += f"{layer_rate:7.0f} GFLOP/s{layer_rate / rate:6.2f}×"
        lines.append(line)
    return "\n".join(lines)


class _Child:
    """A contestant in its own process: an order goes in as a line, its answer comes out as a line of JSON."""

    def __init__(self, name: str, size: int, threads: int | None, weights: str | None):
        command = [sys.executable, __file__, "--contestant", name, "--size", str(size)]
        command += ["--threads", str(threads)] if threads else []
        command += ["--weights", weights] if weights else []
        self._name = name
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, order: str, *arguments: object):
        try:
            self._process.stdin.write(json.dumps([order, *arguments]) + "\n")
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
        self._process.communicate()  # closes the pipes


# In the child ---------------------------------------------------------------------------------------------------------


def random_filters() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of VGG-19's widths."""
    kernels = he_kernels(np.random.default_rng(0), FILTERS, "conv5_1")
    return {layer: (kernel.astype(np.float32), np.zeros(kernel.shape[3], np.float32)) for layer, kernel in kernels}


def network(weights: str | None, backend: str | Backend) -> VGG:
    """The network of this name, or VGG-19 with random filters."""
    if weights:
        return load_weights(weights, padding="replicate", backend=backend)
    return VGG(random_filters(), np.zeros(3), 1 / 255, backend=backend)


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

    def content(self, a: np.ndarray, P: np.ndarray) -> float:
        return self.backend.content(a, P)

    def content_backward(self, a: np.ndarray, P: np.ndarray, factor: float, da: np.ndarray | None = None) -> np.ndarray:
        return self.backend.content_backward(a, P, factor, da)

    def variation(self, x: np.ndarray) -> float:
        return self.backend.variation(x)

    def variation_backward(self, x: np.ndarray, factor: float, dx: np.ndarray | None = None) -> np.ndarray:
        return self.backend.variation_backward(x, factor, dx)


class _Ours:
    def __init__(self, size: int, threads: int | None, weights: str | None):
        engine = backends.create("fast", threads)
        self.threads = engine.workers.threads
        self.timed = Timed(engine)
        self.network = network(weights, backend=self.timed)
        self.size, self.weights, self.x = size, weights, image(2, size)

    def targets(self, _: None) -> list[tuple[str, str | None, float]]:
        """Compute them; the terms of the loss, with their layers and weights, for the other contestants."""
        of_paper = {
            "content_layers": {CONTENT: 1.0},
            "style_layers": dict.fromkeys(STYLE, 0.2),
            "content_weight": 1.0,
            "style_weight": 1000.0,
            "convention": "paper",
        }
        pictures = (image(seed, self.size) for seed in (0, 1))
        self.objective = Objective.from_images(self.network, *pictures, **({} if self.weights else of_paper))
        return [
            (t.name, t.layer, t.variation.coefficients.get("squares", 0.0) if t.layer is None else t.weight)
            for t in self.objective.terms
        ]

    def step(self) -> float:
        self.timed.calls.clear()
        return self.objective(self.x)[0]

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
                run = runs.setdefault(name, {"method": self.method(prepared, pixels), "operations": operations})
                run[sweep] = min(run.get(sweep, seconds), seconds)
        seconds = sum(t["forward"] + t["backward"] for t in runs.values())
        operations = 2 * sum(t["operations"] for t in runs.values())
        total = {"seconds": seconds, "rate": operations / seconds / 1e9}
        rules = {name: value for name, value in vars(fast).items() if name.isupper() and isinstance(value, int | tuple)}
        return {"threads": self.threads, "convolutions": total, "layers": runs, "rules": rules}

    @staticmethod
    def method(prepared: fast.Prepared, pixels: int) -> str:
        filtering = prepared.method(math.isqrt(pixels), math.isqrt(pixels))
        return f"F({filtering.m}×{filtering.m})" if filtering else "im2col"


class _Torch:
    def __init__(self, size: int, threads: int | None, weights: str | None, channels_last: bool):
        import torch

        self.torch = torch
        if threads:
            torch.set_num_threads(threads)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        source = network(weights, backend="plain")
        self.weights = {
            name: (torch.tensor(k).permute(3, 2, 0, 1).contiguous(memory_format=layout), torch.tensor(b))
            for name, (k, b) in source.convolutions.items()
        }
        self.mean = torch.tensor(source.mean, dtype=torch.float32)[None, :, None, None]
        self.scale, self.padding = source.scale, {"zero": "constant"}.get(source.padding, source.padding)
        self.image = lambda seed: (
            torch.tensor(image(seed, size)).permute(2, 0, 1)[None].contiguous(memory_format=layout)
        )
        self.x = self.image(2).requires_grad_(True)

    def features(self, image):
        functional, found, a = self.torch.nn.functional, {}, (255 * image - self.mean) * self.scale
        for name in layer_names("vgg19"):
            if name in self.weights:
                kernel, bias = self.weights[name]
                if self.padding == "constant":
                    a = functional.conv2d(a, kernel, bias, padding=1)
                else:
                    a = functional.conv2d(functional.pad(a, (1, 1, 1, 1), mode=self.padding), kernel, bias)
                a = self.torch.relu_(a)
            else:
                a = functional.avg_pool2d(a, 2)
            found[name] = a
            if self.layers <= found.keys():
                return {name: found[name] for name in self.layers}

    def targets(self, terms) -> None:
        self.terms, self.layers = terms, {layer for _, layer, _ in terms if layer}
        with self.torch.no_grad():
            content, style = self.features(self.image(0)), self.features(self.image(1))
            self.target = {(term, l): content[l] if term == "content" else gram(style[l]) for term, l, _ in terms if l}

    def loss(self):
        features, loss = self.features(self.x), 0.0
        for term, layer, weight in self.terms:
            if term == "tv":
                down, right = self.x[:, :, 1:] - self.x[:, :, :-1], self.x[..., 1:] - self.x[..., :-1]
                loss = loss + weight * 0.5 * ((down**2).sum() + (right**2).sum())
            elif term == "content":
                loss = loss + weight * 0.5 * ((features[layer] - self.target[term, layer]) ** 2).sum()
            else:
                _, N, *size = features[layer].shape
                difference = gram(features[layer]) - self.target[term, layer]
                loss = loss + weight / (4 * N**2 * math.prod(size) ** 2) * (difference**2).sum()
        return loss

    def step(self) -> float:
        self.x.grad = None
        loss = self.loss()
        loss.backward()
        return loss.item()

    def kernels(self) -> int:
        return 0


def gram(a):
    F = a.flatten(2)[0]
    return F @ F.T


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


def _answer_orders(name: str, size: int, threads: int | None, weights: str | None) -> None:
    """Be the contestant `name`."""
    if name == "nst_numpy":
        contestant = _Ours(size, threads, weights)
    else:
        contestant = _Torch(size, threads, weights, name.endswith("channels-last"))
    before = _resident()
    answers = {
        "targets": contestant.targets,
        "loss": contestant.step,
        "step": lambda: _time(contestant.step),
        "memory": lambda: {"memory": _peak() - before, "kernels": contestant.kernels()},
        "rate": lambda: contestant.rate(),
        "layers": lambda: contestant.layers(),
    }
    for order in sys.stdin:
        name, *arguments = json.loads(order)
        print(json.dumps(answers[name](*arguments)), flush=True)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = _Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=512, help="of the square image, in pixels (default 512)")
    parser.add_argument("--against", choices=["torch"], help="measure PyTorch too, in both of its memory layouts")
    parser.add_argument("--weights", help="the network, with the library's own losses (default: VGG-19, the paper's)")
    parser.add_argument("--threads", type=int, help="by default one for each core")
    parser.add_argument("--rounds", type=int, default=7, help="measured steps of each contestant (default 7)")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.contestant:
        _answer_orders(options.contestant, options.size, options.threads, options.weights)
        return 0
    try:
        result = bench(options.size, options.against, options.threads, options.rounds, options.weights)
    except ValueError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return 130
    print(json.dumps(result, indent=2) if options.json else table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
