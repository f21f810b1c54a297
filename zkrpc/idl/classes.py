"""Classes as thriftpy2 makes them: structs, exceptions, enums and services. The only module that imports thriftpy2.

They have everything that thriftpy2 looks at: its base classes, ``thrift_spec``, ``default_spec``, ``thrift_services``
and the ``*_args`` and ``*_result`` of a service. What differs: a field may have any name, keywords of Python included;
every object has its own copy of a mutable default; classes are pickled by the name of their IDL; and the fields of
structs and unions are slots, which take less memory, and refuse what is no field.

*What a decoder may rely on.* If a class has no ``__dict__`` (``cls.__dictoffset__`` is 0), then ``vars(cls)[field]`` is
the member descriptor of that field's slot, under the very name that the IDL gives it; no name is mangled. The
constructor fills every slot. ``cls.__new__(cls)`` fills none, and reading an empty one raises AttributeError: who makes
objects in that way fills all of them, with None where nothing came and nothing is the default.

These have a ``__dict__``, as all of thriftpy2's classes, and no slots: exceptions, since every exception of Python has
one; arguments and results, as thriftpy2's processor sets ``success`` on those of void methods; structs with a field
that is called as a mark on their class (:data:`~zkrpc.codec.shape.MARKS`) or ``__so__``. Classes that users derive have
both.
"""

from __future__ import annotations

import copy
import copyreg
import functools
import types
from collections.abc import Mapping, Sequence
from typing import Any

from thriftpy2.thrift import TException, TPayload, TPayloadMeta

from zkrpc.codec.shape import MARKS, Kind, is_mutable, mark_bare
from zkrpc.idl.outline import Annotation, Definition
from zkrpc.idl.slots import Layout, Slotted

Entry = tuple[Any, ...]
"""One field in a ``thrift_spec``."""


class StructMeta(TPayloadMeta):
    """The metaclass of the classes, by which :mod:`zkrpc.idl.pickles` recognises them."""

    def __new__(cls, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> Any:
        """Makes a class that somebody derives. It has a ``__dict__`` even if it asks for slots alone: Python would take
        over from thriftpy2's base that it has one, and write it where there is none."""
        if any(isinstance(base, StructMeta) and not base.__dictoffset__ for base in bases):
            attributes = {"__dict__": vars(Slotted)["__dict__"], **attributes}
            slots = attributes.get("__slots__")
            if slots is not None and not any(base.__dictoffset__ for base in bases):
                attributes["__slots__"] = {"__dict__", *([slots] if isinstance(slots, str) else slots)}
        return super().__new__(cls, name, bases, attributes)


class EnumMeta(type):
    """The metaclass of enums, which thriftpy2 makes as plain classes."""


def make_struct(definition: Definition, module: str, file: str) -> Any:
    """Makes a class without a constructor, so that fields of other classes can have it as their type."""
    exception = definition.kind == "exception"
    names = [field.name for field in definition.fields]
    attributes = {
        "_ttype": int(Kind.STRUCT),
        "__thrift_annotations__": _values(definition.annotations),
        "__thrift_field_annotations__": {field.name: _values(field.annotations) for field in definition.fields},
        **_origin(definition, module, file),
    }
    if not exception and not any(name in MARKS or is_special(name) for name in names):
        return _slotted(definition.name, names, attributes)
    attributes |= {"__getstate__": _get_state, "__setstate__": _set_state}
    if exception:
        attributes["__reduce__"] = _reduce_exception
        # Exceptions have this attribute with a meaning of its own; a field of the name stands in front of it.
        attributes |= {name: None for name in names if name == "args"}
    return StructMeta(definition.name, (TException if exception else TPayload,), attributes)


def is_special(name: str) -> bool:
    """Whether Python gives a name a meaning of its own wherever it stands."""
    return name.startswith("__") and name.endswith("__")


def _slotted(name: str, fields: Sequence[str], attributes: Mapping[str, Any]) -> Any:
    """Makes a class with slots. thriftpy2's base comes in afterwards, or else the class would have its ``__dict__``."""
    # In a class that is called _ no name of a slot is mangled.
    cls: Any = type.__new__(StructMeta, "_", (Slotted,), {**attributes, "__qualname__": name, "__slots__": fields})
    cls.__name__ = name
    cls.__thrift_layout__ = Layout({field: vars(cls)[field] for field in fields})
    del cls.__slots__  # pickle would mangle the names
    cls.__bases__ = (Slotted, TPayload)
    return cls


def _bare(union: Any) -> Any:
    """Makes a class of the same layout, derived from a union while that has no second base."""
    bases, union.__bases__ = union.__bases__, union.__bases__[:1]
    own = {"__init__": union.__init__, "__module__": union.__module__, "__slots__": ()}
    bare = type.__new__(StructMeta, union.__name__, (union,), own)
    union.__bases__ = bases
    return bare


def make_enum(definition: Definition, module: str, file: str) -> Any:
    """Makes a class with an int for every item. If a number has several names, the first one is its name in the other
    direction."""
    numbers = {item.name: item.number for item in definition.items}
    return EnumMeta(
        definition.name,
        (),
        {
            "_ttype": int(Kind.I32),
            **numbers,
            "_VALUES_TO_NAMES": {number: name for name, number in reversed(numbers.items())},
            "_NAMES_TO_VALUES": numbers,
            "__thrift_annotations__": _values(definition.annotations),
            "__thrift_item_annotations__": {item.name: _values(item.annotations) for item in definition.items},
            **_origin(definition, module, file),
        },
    )


def make_service(definition: Definition, parent: type | None, module: str, file: str) -> Any:
    """Makes a service's class without its functions' classes, which :func:`add_function` adds."""
    inherited = list(getattr(parent, "thrift_services", ()))
    annotations = {function.name: _values(function.annotations) for function in definition.functions}
    return type(
        definition.name,
        (parent or object,),
        {
            "thrift_services": [function.name for function in definition.functions] + inherited,
            "__thrift_annotations__": _values(definition.annotations),
            "__thrift_function_annotations__": annotations,
            **_origin(definition, module, file),
        },
    )


def add_function(service: Any, name: str) -> tuple[Any, Any]:
    """Adds the classes of a function's arguments and results, without fields."""
    for kind in ("args", "result"):
        made = StructMeta(f"{name}_{kind}", (TPayload,), {"__module__": service.__module__})
        setattr(service, made.__name__, made)
    return getattr(service, f"{name}_args"), getattr(service, f"{name}_result")


def set_fields(cls: Any, spec: Mapping[int, Entry], defaults: Mapping[str, Any]) -> None:
    """Gives a class its fields, and a constructor that takes them by position or name."""
    cls.thrift_spec = dict(spec)
    cls.default_spec = [(entry[1], defaults.get(entry[1])) for entry in spec.values()]
    cls.__init__ = _initializer([name for name, _ in cls.default_spec], tuple(value for _, value in cls.default_spec))
    mutable = {name: value for name, value in defaults.items() if is_mutable(value)}
    if mutable:
        _copy_defaults(cls, mutable)


def set_default_member(union: Any, name: str, value: Any) -> None:
    """Makes a union that is constructed without arguments hold this member; a decoded one holds only what came."""
    plain = union.__init__
    members = [entry[1] for entry in union.thrift_spec.values()]
    mark_bare(union, _bare(union))

    @functools.wraps(plain)
    def with_default(*args: Any, **kwargs: Any) -> None:
        plain(*args, **kwargs)
        if all(getattr(args[0], member) is None for member in members):
            setattr(args[0], name, copy.deepcopy(value) if is_mutable(value) else value)

    union.__init__ = with_default


def _initializer(names: Sequence[str], defaults: tuple[Any, ...]) -> Any:
    code = _template(len(names))
    it = next(some for some in ("self", "it", *(f"it{place}" for place in range(len(names)))) if some not in names)
    code = code.replace(co_varnames=(it, *names), co_names=tuple(names))
    return types.FunctionType(code, {}, "__init__", defaults)


@functools.cache
def _template(fields: int) -> types.CodeType:
    """The code of a constructor of so many fields, with placeholders that the fields' names replace: some names could
    not stand in source text, and compiling one constructor for each class would take longer than all the rest."""
    names = [f"a{place}" for place in range(fields)]
    lines = [
        f"def __init__({', '.join(['it', *names])}):",
        *(f"    it.{name} = {name}" for name in names),
        "    return",
    ]
    made: dict[str, Any] = {}
    exec("\n".join(lines), made)
    code: types.CodeType = made["__init__"].__code__
    return code


def _copy_defaults(cls: Any, mutable: Mapping[str, Any]) -> None:
    """Has each object of a class get its own copy of the mutable defaults."""
    plain = cls.__init__

    @functools.wraps(plain)
    def own_defaults(*args: Any, **kwargs: Any) -> None:
        plain(*args, **kwargs)
        for name, value in mutable.items():
            if getattr(args[0], name) is value:
                setattr(args[0], name, copy.deepcopy(value))

    cls.__init__ = own_defaults


def _get_state(it: Any) -> Any:
    """The state for ``pickle``, but never None: ``__setstate__`` would not be called then, and fields that a later IDL
    adds to a struct without fields would lack their defaults."""
    state = object.__getstate__(it)
    return {} if state is None else state


def _set_state(it: Any, state: Any) -> None:
    """Unpickles an object. Fields that the pickle's IDL lacked get their defaults."""
    state, slots = state if isinstance(state, tuple) else (state, {})  # so if a derived class has slots
    state = state or {}
    if any(entry[1] not in state for entry in type(it).thrift_spec.values()):
        made: Any = next(cls for cls in type(it).__mro__ if "thrift_spec" in vars(cls))
        made.__init__(it)  # and not what a derived class has made of it
    vars(it).update(state)
    for name, value in slots.items():
        setattr(it, name, value)


def _reduce_exception(it: Any) -> tuple[Any, ...]:
    """Pickles an exception by its fields. Python's default is to call the class with the original arguments, whatever
    its fields are now."""
    return copyreg.__newobj__, (type(it), *BaseException.args.__get__(it)), vars(it)  # type: ignore[attr-defined]


def _origin(definition: Definition, module: str, file: str) -> dict[str, Any]:
    return {"__module__": module, "__thrift_file__": file, "__thrift_lineno__": definition.line}


def _values(annotations: Sequence[Annotation]) -> dict[str, str | None]:
    return {some.name: some.value for some in annotations}
