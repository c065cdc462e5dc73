"""Paintings that run in threads of their own, and are watched, paused, taken step by step and stopped from others."""

import logging
import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from inspect import signature
from time import perf_counter
from typing import Any
from weakref import WeakSet

import numpy as np

from nst_numpy import images
from nst_numpy import weights as weight_files
from nst_numpy.conventions import Convention
from nst_numpy.conventions.convention import StyleGram
from nst_numpy.memory import available
from nst_numpy.network import VGG
from nst_numpy.objective import Objective
from nst_numpy.painting import GramCache, Motif, network_options, paint, work_done
from nst_numpy.records import name_of
from nst_numpy.result import TransferResult
from nst_numpy.run import Losses
from nst_numpy.settings import Settings
from nst_numpy.studio.sources import named_apart, with_names
from nst_numpy.stylize import reconstruct, texture, transfer
from nst_numpy.validation import warnings_to

logger = logging.getLogger(__name__)

KEPT = 128 << 20  # bytes of earlier pictures
ENDS = ("finished", "stopped", "failed")
RECENT = 10  # steps by which the remaining time is estimated

grams = GramCache()  # what one preview has computed, the next one has


_load = lru_cache(maxsize=2)(weight_files.load)  # with their transformed kernels, hundreds of megabytes


def network(weights: str | os.PathLike[str], convention: Convention, **options: Any) -> VGG:
    """A network as `painting.load_network` loads it; the latest two are kept, for the next painting.

    Parameters
    ----------
    weights : str or path
    convention : Convention
    **options
        Such as pooling and padding, instead of the convention's.

    Examples
    --------
    >>> from nst_numpy import conventions
    >>> network("vgg19-mini", conventions.get("paper")) is network("vgg19-mini", conventions.get("paper"))
    True
    """
    return _load(os.fspath(weights), **network_options(convention, **options))


class Painting:
    """One painting in a thread of its own.

    All methods return at once, and everything can be read at any time, from any thread: nothing waits for the painting.

    Parameters
    ----------
    content, style, content_masks, style_masks, content_mask
        As in `transfer`; also `sources.Source`. Without content it is a texture, without style a reconstruction.
    settings : Settings
    painter : Painter, optional
        Whose turn it waits for. Without one it begins at once.
    kept : int
        Bytes of earlier pictures that are kept, the latest first.

    Attributes
    ----------
    function : callable
        The one of the library that paints the same: `transfer`, `texture` or `reconstruct`.
    settings : Settings
        Those that the function takes; the others have their defaults.
    state : {"waiting", "preparing", "painting", "paused", "finished", "stopped", "failed"}
    pausing : bool
        Whether it is, or after the current step will be, paused.
    step, steps : int
        Steps done and asked for, over all sizes; `steps` is 0 until the images are read.
    sizes : list of int
        The sizes that it works through; empty until the images are read.
    history : list of dict
        As in `TransferResult`, so far.
    number : int
        How many pictures there have been. Picture k, from 0, belongs to entry k of the history.
    picture : ndarray of uint8, shape (h, w, 3), or None
        The latest; once it has ended, the result.
    progress : float
        Part of the work that is done, 0–1; steps count by their area.
    remaining : float or None
        Seconds, by the latest steps.
    error : str
        Why it failed, for the user.
    warnings : list of str
        What the library warned of.
    result : TransferResult or None
        Once it has ended; after `stop` with the best picture so far.

    Examples
    --------
    >>> from nst_numpy import Settings, samples
    >>> painting = Painting(samples.portrait(), samples.woodcut_waves(64), Settings(size=(48,), steps=3))
    >>> painting.start()
    >>> painting.wait()
    'finished'
    >>> painting.number, painting.picture.shape, painting.result.history == painting.history
    (5, (48, 41, 3), True)
    """

    def __init__(
        self,
        content: Any,
        style: Any,
        settings: Settings,
        *,
        content_masks: Any = None,
        style_masks: Any = None,
        content_mask: Any = None,
        painter: "Painter | None" = None,
        kept: int = KEPT,
    ):
        styles = [s for s in (style if isinstance(style, list | tuple) else [style]) if s is not None]
        if content is None and not styles:
            raise ValueError("there is no image: choose a content image, a style image, or both")
        self.function: Callable[..., TransferResult] = transfer
        if content is None:
            self.function, content = texture, styles[0]
            settings = replace(settings, **_usual(settings, texture), content_layers=())
        elif not styles:
            self.function, styles = reconstruct, [content]
            settings = replace(settings, **_usual(settings, reconstruct), style_layers=())
            if settings.content_layers is None:
                raise ValueError("without a style, choose the layers from which the content image is reconstructed")
        masks = {"content_masks": content_masks, "style_masks": style_masks, "content_mask": content_mask}
        content, styles, init, self.masks = named_apart([content, styles, settings.init, masks])
        self.content, self.styles, self.settings = content, styles, replace(settings, init=init)
        self.state, self.step, self.steps = "waiting", 0, 0
        self.sizes = list[int]()
        self.error, self.warnings = "", list[str]()
        self.result: TransferResult | None = None
        self._history: list[Losses] = []
        self._kept, self.most = OrderedDict[int, np.ndarray](), kept
        self._shown: tuple[int, np.ndarray] | None = None
        self._allowed = float("inf")  # steps until it pauses
        self._stopping = self._closed = False
        self._painter = painter
        self._changed = threading.Condition() if painter is None else painter.changed
        self._work = np.zeros(1)
        self._recent = deque[tuple[float, float]](maxlen=RECENT)  # times, and the work done until then
        self._motif: Motif | None = None
        self._objective: tuple[tuple[int, ...], Objective] | None = None
        self._thread = threading.Thread(target=self._run, name="nst_numpy painting", daemon=True)

    # From other threads -----------------------------------------------------------------------------------------------

    def start(self, instead_of: "Painting | None" = None) -> None:
        """Begin, or get in line.

        Parameters
        ----------
        instead_of : Painting, optional
            One that is closed, such as a preview with other settings; this one takes its place in line.

        Raises
        ------
        ValueError
            If too many are in line.
        """
        if self._painter:
            self._painter.enter(self, instead_of)
        if instead_of:
            instead_of.close()
        self._thread.start()

    def pause(self) -> None:
        """Pause after the current step, and let others have their turn."""
        self._allow(0)

    def step_once(self) -> None:
        """Paint one more step, then pause."""
        with self._changed:
            self._allow(1 if self._allowed == float("inf") else self._allowed + 1)

    def resume(self) -> None:
        """Go on."""
        self._allow(float("inf"))

    def stop(self) -> None:
        """End it after the current step; the best picture so far is the result, as after Ctrl-C."""
        with self._changed:
            self._stopping = True
            if not self._thread.ident and self.state == "waiting":  # it never started
                self.state = "stopped"
            self._changed.notify_all()

    def close(self) -> None:
        """End it after the current step, and let everything go."""
        with self._changed:
            self._closed = True
            self.stop()
            if self.state in ENDS:
                self._let_go()

    def release(self) -> None:
        """Let earlier pictures go; the result stays. For a painting that has ended."""
        with self._changed:
            self._kept.clear()
            self._motif = self._objective = None

    def wait(self, seconds: float | None = None) -> str:
        """Wait until it has ended, or for so long; return the state."""
        if self._thread.ident:
            self._thread.join(seconds)
        return self.state

    @property
    def pausing(self) -> bool:
        return self._allowed != float("inf") and self.state not in ENDS

    @property
    def history(self) -> list[Losses]:
        return self._history.copy()

    @property
    def number(self) -> int:
        return len(self._history) + (self.result is not None)

    @property
    def picture(self) -> np.ndarray | None:
        if (result := self.result) is not None:
            return result.image
        with self._changed:
            number, image = next(reversed(self._kept.items()), (0, None))
            shown = self._shown
        if image is None:
            return None
        if shown is None or shown[0] != number:
            shown = self._shown = number, images.to_uint8(self.motif.finished(image))
        return shown[1]

    @property
    def earlier(self) -> list[int]:
        """The numbers of the pictures that are kept."""
        with self._changed:
            return list(self._kept)

    def picture_at(self, number: int) -> np.ndarray:
        """An earlier picture: float32 (h, w, 3), of the size at which it was painted, not clipped to 0–1.

        Raises
        ------
        ValueError
            If it is not kept.
        """
        return self.motif.finished(self.point_at(number))

    def point_at(self, number: int) -> np.ndarray:
        """What was minimised then: the picture, but for its colors if only the luminance is painted. Read-only.

        Raises
        ------
        ValueError
            If it is not kept.
        """
        with self._changed:
            if number not in self._kept:
                there = f"{next(iter(self._kept))} to {next(reversed(self._kept))}" if self._kept else "none"
                raise ValueError(f"picture {number} is not kept; there are {there}")
            return self._kept[number]

    @property
    def progress(self) -> float:
        if self.state == "finished":
            return 1.0
        return float(self._work[min(self.step, len(self._work) - 1)] / (self._work[-1] or 1))

    @property
    def remaining(self) -> float | None:
        with self._changed:
            if len(self._recent) < 2 or self.state in ENDS:
                return None
            (began, first), (now, done) = self._recent[0], self._recent[-1]
            return float((self._work[-1] - done) * (now - began) / (done - first)) if done > first else None

    @property
    def motif(self) -> Motif:
        """Its images as they are painted, read when they are first needed."""
        if (motif := self._motif) is None:
            with warnings_to([]):  # `paint` gives the same
                motif = self._motif = Motif(self.content, self.styles, self._with_network, **self.masks)
        return motif

    def objective_for(self, shape: tuple[int, ...]) -> Objective:
        """What is minimised at the size at which a picture of this shape, (h, w, 3), is painted; the latest is kept.

        Raises
        ------
        ValueError
            If it is painted in tiles.
        """
        if self._objective is None or self._objective[0] != shape:
            motif = self.motif
            size = next(size for size in self.sizes if motif.content_at(size).shape == shape)
            if motif.tile_at(size) is not None:
                raise ValueError(
                    f"a picture of {shape[1]}×{shape[0]} pixels is painted in tiles, as the whole does not fit into "
                    "the memory: choose a smaller size to look inside"
                )
            objective = motif.stage(size, 0, style_grams=grams).function
            assert isinstance(objective, Objective)
            self._objective = shape, objective
        return self._objective[1]

    # In its own thread ------------------------------------------------------------------------------------------------

    @property
    def _with_network(self) -> Settings:
        settings = self.settings
        if isinstance(settings.weights, VGG):
            return settings
        return replace(settings, weights=network(settings.weights, settings.convention))

    def _run(self) -> None:
        result, state, error = None, "stopped", ""
        try:
            with self._changed:
                self._take_turn()
                self.state = "preparing"
            with warnings_to(self.warnings):
                result = self._painted()
            if not result.complete and not self._stopping:
                state, error = "failed", f"{result.message}; smaller weights, or another optimizer, may help"
            elif result.complete:
                state = "finished"
        except KeyboardInterrupt:  # before there was a picture
            pass
        except MemoryError:
            state, error = "failed", "There was not enough memory for this painting: take a smaller size."
        except Exception as failure:
            state, error = "failed", f"{failure}"
            if not isinstance(failure, TypeError | ValueError | OSError):
                logger.debug("a painting failed", exc_info=True)
                error = f"The painting failed unexpectedly: {type(failure).__name__}: {failure}"
        finally:
            with self._changed:
                self.result, self.error, self.state = result, error, state
                if self._closed:
                    self._let_go()
                if self._painter:
                    self._painter.leave(self)
                self._changed.notify_all()

    def _painted(self) -> TransferResult:
        motif = self.motif
        self.sizes = self.settings.sizes(*motif.content.shape[:2])
        steps = self.settings.steps * (len(self.sizes) if len(self.settings.steps) == 1 else 1)
        self.steps, self._work = sum(steps), work_done(self.sizes, steps)
        result = paint(
            self.content,
            self.styles,
            self._with_network,
            **self.masks,
            points=self._after_step,
            progress=False,
            style_grams=self._style_grams,
        )
        inputs = {"content": self.content, "style": self.styles, "init": self.settings.init, **self.masks}
        record = with_names(result.record, {name: value for name, value in inputs.items() if value is not None})
        record["weights"] = name_of(self.settings.weights)
        return replace(result, settings=self.settings, record=record)

    def _style_grams(self, *arguments: Any, **keywords: Any) -> list[dict[str, StyleGram]]:
        """Those of the cache; it is also where a painting that is still being prepared can be stopped."""
        if self._stopping:
            raise KeyboardInterrupt
        return grams(*arguments, **keywords)

    def _after_step(self, step: int, x: np.ndarray, losses: Losses) -> None:
        with self._changed:
            self.state, self.step = "painting", step
            self._history.append(losses)
            x = x.astype(np.float32, copy=False).view()
            x.flags.writeable = False
            self._kept[len(self._history) - 1] = x  # not copied: the optimizers change no array
            while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > self.most:
                self._kept.popitem(last=False)
            self._recent.append((perf_counter(), float(self._work[min(step, len(self._work) - 1)])))
            if self._allowed <= 0 and step < self.steps and not self._stopping:
                self.state = "paused"
                if self._painter:
                    self._painter.leave(self)
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._allowed > 0 or self._stopping)
                if self._painter and not self._stopping:
                    self.state = "waiting"
                    self._painter.enter_again(self)
                    self._take_turn()
                self._recent.clear()
                self.state = "painting"
            if self._stopping:
                raise KeyboardInterrupt  # what Ctrl-C does: the run ends with the best picture so far
            self._allowed -= 1

    def _take_turn(self) -> None:
        if painter := self._painter:
            self._changed.wait_for(lambda: self._stopping or painter.is_turn_of(self))
        if self._stopping and not self._history:
            raise KeyboardInterrupt

    def _allow(self, steps: float) -> None:
        with self._changed:
            self._allowed = steps
            self._changed.notify_all()

    def _let_go(self) -> None:
        self.release()
        self.result = self._shown = None


def _usual(settings: Settings, function: Callable[..., TransferResult]) -> dict[str, Any]:
    """The defaults of those settings that a function does not take."""
    usual, takes = Settings(convention=settings.convention), signature(function).parameters
    names = [f.name for f in fields(Settings) if f.name not in (*takes, "content_layers", "style_layers")]
    return {name: getattr(usual, name) for name in names}


class Painter:
    """A line of paintings, of which one is painted at a time; a paused one lets the next have its turn.

    Parameters
    ----------
    waiting : int
        How many may wait, beside the one that is painted.

    Examples
    --------
    >>> from nst_numpy import Settings, samples
    >>> painter = Painter(waiting=1)
    >>> images, settings = (samples.portrait(), samples.woodcut_waves(64)), Settings(size=(32,), steps=2)
    >>> paintings = [Painting(*images, settings, painter=painter) for _ in range(3)]
    >>> paintings[0].pause()
    >>> for painting in paintings[:2]:
    ...     painting.start()
    >>> paintings[1].wait()  # as the first one is paused
    'finished'
    >>> painter.close()
    """

    def __init__(self, waiting: int = 4):
        self.waiting = waiting
        self.changed = threading.Condition()
        self._line: list[Painting] = []
        self._all = WeakSet[Painting]()

    def place(self, painting: Painting) -> int:
        """How many are before it in line; 0 as well if it is not in line."""
        with self.changed:
            return self._line.index(painting) if painting in self._line else 0

    def close(self) -> None:
        """Stop all."""
        with self.changed:
            for painting in list(self._all):
                painting.stop()

    def enter(self, painting: Painting, instead_of: Painting | None = None) -> None:
        """Get in line; for `Painting.start`, which says more."""
        with self.changed:
            place = self._line.index(instead_of) + 1 if instead_of in self._line else None
            if place is None and len(self._line) > self.waiting:
                raise ValueError(
                    f"{self.waiting} paintings are waiting already: wait until one of them is finished, or stop one"
                )
            self._line.insert(len(self._line) if place is None else place, painting)
            self._all.add(painting)

    def enter_again(self, painting: Painting) -> None:
        """Get in line after a pause."""
        with self.changed:
            self._line.append(painting)

    def leave(self, painting: Painting) -> None:
        """Leave the line, for a pause or at the end."""
        with self.changed:
            if painting in self._line:
                self._line.remove(painting)
            self.changed.notify_all()

    def is_turn_of(self, painting: Painting) -> bool:
        """Whether it is the first in line."""
        with self.changed:
            return self._line[:1] == [painting]


@dataclass(frozen=True)
class Needs:
    """The memory that a painting needs, an estimate; prints as a sentence.

    Attributes
    ----------
    memory : int
        In bytes.
    free : int or None
        What there is; None if the system does not say.
    tiled : bool
        Whether it is painted in tiles, since the whole does not fit.
    """

    memory: int
    free: int | None
    tiled: bool

    def __str__(self) -> str:
        there = "" if self.free is None else f"; {_in_words(self.free)} are free"
        tiles = ". It is painted in tiles, which takes longer, as the whole does not fit" if self.tiled else ""
        return f"About {_in_words(self.memory)} of memory are needed{there}{tiles}."


def needs(painting: Painting) -> Needs:
    """How much memory a painting needs, before it starts. This reads its images.

    Raises
    ------
    ValueError
        If it does not fit even in the smallest tiles, or anything is wrong with an image.

    Examples
    --------
    >>> from nst_numpy import Settings, samples
    >>> found = needs(Painting(samples.portrait(), samples.woodcut_waves(64), Settings(size=64)))
    >>> found.memory > 2**20, found.tiled
    (True, False)
    """
    motif, free = painting.motif, available()
    size = painting.settings.sizes(*motif.content.shape[:2])[-1]
    tile = motif.tile_at(size)
    return Needs(motif.memory_at(size, tile) + painting.most, free, tile is not None)


def _in_words(memory: int) -> str:
    """Bytes in words: 850 MB, 2.1 GB."""
    return f"{memory / 1e9:.1f} GB" if memory >= 1e9 else f"{memory / 1e6:.0f} MB"
