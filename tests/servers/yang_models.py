"""OpenDaylight's YANG, and what libyang says of data."""

from __future__ import annotations

import ctypes
import json
import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from servers.programs import find_library
from shared_models import shared_folder

COMMON = (
    "ietf-interfaces",
    "iana-if-type",
    "odl-interface",
    "neutron",
    "neutron-constants",
    "neutron-networks",
    "neutron-binding",
    "neutron-L3-ext",
    "neutron-provider-ext",
    "neutron-portsecurity",
)
CURRENT = "l3vpn-instances-interfaces"
OLDER = ("l3vpn", "odl-l3vpn")
_OLDER_FOLDER = Path(__file__).parent / "yang/older"


def opendaylight_models() -> Path:
    """The folder with OpenDaylight's YANG; see `shared_folder`."""
    return shared_folder("yang/opendaylight", "OpenDaylight's YANG is")


class YangModels:
    """The modules of a controller: NetVirt's of today (`older` False) or of before."""

    def __init__(self, *, older: bool) -> None:
        folder = opendaylight_models()
        vpns = OLDER if older else (CURRENT,)
        self.modules = (*COMMON, *vpns)
        self._libyang = _libyang()
        self._context = ctypes.c_void_p()
        search = os.pathsep.join([*([str(_OLDER_FOLDER)] if older else []), str(folder)])
        self._must(self._libyang.ly_ctx_new(search.encode(), _ALL_FEATURES, ctypes.byref(self._context)))
        weakref.finalize(self, self._libyang.ly_ctx_destroy, self._context)
        for name in self.modules:
            file = (_OLDER_FOLDER if older and name in OLDER else folder) / f"{name}.yang"
            self._must(self._libyang.lys_parse_path(self._context, str(file).encode(), _YANG, None))

    def problem(self, datastore: Mapping[str, Any]) -> str | None:
        """What libyang has against a whole configuration (as `yanglint -e -t config`); None: nothing."""
        data = ctypes.c_void_p()
        found = self._libyang.lyd_parse_data_mem(
            self._context,
            json.dumps(datastore).encode(),
            _JSON,
            _PARSE_STRICT | _PARSE_NO_STATE,
            _VALIDATE_NO_STATE | _VALIDATE_PRESENT,
            ctypes.byref(data),
        )
        if not found:
            self._libyang.lyd_free_all(data)
            return None
        return self._said() or f"libyang gave {found}"

    def _must(self, result: int) -> None:
        if result:
            raise RuntimeError(f"libyang doesn't take the modules: {self._said()}")

    def _said(self) -> str:
        text = self._libyang.ly_errmsg(self._context) or b""
        path = self._libyang.ly_errpath(self._context) or b""
        return " ".join(f"{text.decode()} {path.decode()}".split())


# Of libyang 2 (context.h, parser_schema.h, tree_data.h, parser_data.h, log.h).
_ALL_FEATURES = 0x100
_YANG = 1
_JSON = 2
_PARSE_STRICT, _PARSE_NO_STATE = 0x020000, 0x080000
_VALIDATE_NO_STATE, _VALIDATE_PRESENT = 0x1, 0x2
_STORE_LAST_MESSAGE = 0x2 | 0x4


def _libyang() -> ctypes.CDLL:
    """The library that yanglint is made with. Called in the process: a request takes 1 ms instead of 50."""
    # Where it is unpacked, the libraries that it needs itself are beside it.
    found = [find_library(name) for name in ("libpcre2-8.so.0", "libyang.so.2")]
    pcre, libyang = (ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL) for path in found)
    del pcre
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32
    libyang.ly_ctx_new.argtypes = [text, ctypes.c_uint16, ctypes.POINTER(pointer)]
    libyang.lys_parse_path.argtypes = [pointer, text, ctypes.c_int, pointer]
    libyang.lyd_parse_data_mem.argtypes = [
        pointer,
        text,
        ctypes.c_int,
        number,
        number,
        ctypes.POINTER(pointer),
    ]
    for name in ("lyd_free_all", "ly_ctx_destroy"):
        freeing = getattr(libyang, name)
        freeing.argtypes, freeing.restype = [pointer], None
    for name in ("ly_errmsg", "ly_errpath"):
        asked = getattr(libyang, name)
        asked.argtypes, asked.restype = [pointer], text
    libyang.ly_log_options(_STORE_LAST_MESSAGE)
    return libyang
