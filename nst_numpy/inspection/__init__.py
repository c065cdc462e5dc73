"""Looking inside: one pass step by step, checks of whole networks, receptive fields, pictures."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["network_checks", "plots", "receptive", "tracing"])
