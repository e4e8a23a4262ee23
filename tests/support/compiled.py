"""What tests of the compiled modules are spared: ``make test COMPILED=yes``.

Machine code calls its own functions directly and has its constants built in: what a test puts in
their places is not seen.  And it takes annotations at their word: a test's stand-in for one of its
classes is refused.  Such a test is skipped there, with that as its reason; it runs on the sources,
which are the reference.
"""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import Any

import pytest

from ksmbd.compiled import is_compiled


def stands_in_for(module: str) -> pytest.MarkDecorator:
    """For tests that pass something else than an instance of one of *module*'s classes."""
    reason = f"compiled: stand-ins for what {module} has"
    return pytest.mark.skipif(is_compiled(module), reason=reason)


def keep_patches_honest() -> None:
    """Have MonkeyPatch skip what would change nothing."""
    setattr_ = pytest.MonkeyPatch.setattr

    def checked(self: pytest.MonkeyPatch, target: Any, name: Any, *rest: Any, **how: Any) -> None:
        owner, attribute = _resolved(target, name) if isinstance(target, str) else (target, name)
        if _is_built_in(owner, attribute):
            pytest.skip(f"compiled: {attribute} cannot be replaced")
        setattr_(self, target, name, *rest, **how)

    pytest.MonkeyPatch.setattr = checked  # type: ignore[method-assign]


def _resolved(path: str, _value: object) -> tuple[object, str]:
    """The owner and the attribute of ``package.module.Class.attribute``."""
    before, _, attribute = path.rpartition(".")
    module, names = before, []
    while module not in sys.modules and "." in module:
        module, _, name = module.rpartition(".")
        names.insert(0, name)
    owner: object = sys.modules.get(module)
    for name in names:
        owner = getattr(owner, name, None)
    return owner, attribute


def _is_built_in(owner: object, attribute: str) -> bool:
    if isinstance(owner, ModuleType):
        value = getattr(owner, attribute, None)
        made_here = inspect.isbuiltin(value) or isinstance(value, (int, float, str, tuple, set))
        return is_compiled(owner.__name__) and (made_here or inspect.isclass(value))
    kind = owner if isinstance(owner, type) else type(owner)
    return is_compiled(kind.__module__)
