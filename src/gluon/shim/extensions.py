"""What others plug into the shim: backends and API models, found by the name of their entry point."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from oslo_config import cfg

from gluon.model.model import Model
from gluon.model.problems import nearest_spelling
from gluon.shim.backend import BackendContext
from gluon.shim.errors import BadConfiguration
from gluon.shim.models.generic import GenericApiModel
from gluon.shim.wishes import Wishes

BACKENDS = "gluon.shim.backends"
MODELS = "gluon.shim.models"

_log = logging.getLogger(__name__)


class Extensions:
    """Backends and API models by name. `conf` is handed to backends, for options of their own."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf

    def backend_class(self, name: str) -> Callable[[BackendContext], Any]:
        """The class of a backend: an entry point's name, or `package.module:Class`.

        Raises BadConfiguration when there is none, or it can't be imported.
        """
        module, colon, attribute = name.partition(":")
        found = {point.name: point for point in entry_points(group=BACKENDS)}
        if not colon and name not in found:
            nearest = nearest_spelling(name, found)
            meant = f"did you mean {nearest}?" if nearest else f"there is {', '.join(sorted(found))}"
            raise BadConfiguration(f"[shim] handlers: there is no backend {name!r}; {meant}")
        try:
            return _class_of(getattr(importlib.import_module(module), attribute) if colon else found[name])
        # Whatever a stranger's module raises while it is imported, the operator must hear which one it was.
        except Exception as error:
            raise BadConfiguration(
                f"[shim] handlers: the backend {name!r} can't be loaded: {error}"
            ) from error

    def backend(self, name: str, service: str, controller: str, wishes: Wishes | None = None) -> Any:
        """A new backend for one service; raises what its constructor raises, and BadConfiguration.

        `wishes`: who hears what it wants of the shim.
        """
        context = BackendContext(service, controller, self._conf)
        if wishes is not None:
            context = replace(context, reconcile=wishes.reconcile, replay=wishes.replay)
        return self.backend_class(name)(context)

    def api_model(self, model: Model, admin_tenants: frozenset[str] = frozenset()) -> GenericApiModel:
        """How a service's objects are understood: the API model of its name, else the generic one.

        `admin_tenants`: those whose objects may speak for all tenants.
        """
        for point in entry_points(group=MODELS, name=model.service):
            made: GenericApiModel = point.load()(model, admin_tenants)
            return made
        return GenericApiModel(model, admin_tenants)


def _class_of(found: Any) -> Callable[[BackendContext], Any]:
    loaded = found.load() if isinstance(found, EntryPoint) else found
    if not callable(loaded):
        raise TypeError(f"{loaded!r} is not a class")
    result: Callable[[BackendContext], Any] = loaded
    return result
