"""What a shim should know of an E-Line beyond its model (examples/models/e-line), so that OVN can build it.

An API model is found by the name of its service. In the package that ships it:

    [project.entry-points."gluon.shim.models"]
    e-line = "e_line:ELineApiModel"
"""

from collections.abc import Mapping

from gluon.shim.models.generic import GenericApiModel
from gluon.shim.views import View


class ELineView(View):
    """A line: whatever frames one of its two ends sends, the other gets."""

    __slots__ = ()

    topology = "point-to-point"


class ELineApiModel(GenericApiModel):
    """All else follows from the model."""

    def view_bases(self) -> Mapping[str, type[View]]:
        """Lines know how their ends are joined."""
        return {"ELine": ELineView}
