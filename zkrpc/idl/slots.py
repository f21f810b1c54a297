"""Objects whose fields are slots, and what ``vars()`` gives of them.

Python's own would have no ``__dict__``, by which thriftpy2 compares, hashes and prints, and by which programs copy one
object's fields into another. So there is a dict, made anew each time that it is asked for, with the attributes that the
object has then; a change of this dict is a change of the object. The object's later changes do not show in it.

A class that somebody derives has a real ``__dict__`` besides, and may stand properties in front of fields. What is
frequent has a short way, for objects of the class itself whose slots are all filled, as nearly all are.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Protocol

_ATOMS = frozenset({bool, bytes, float, int, str, type(None)})


class Slot(Protocol):
    """A descriptor of one slot, as Python makes them; ``__get__`` raises AttributeError if the slot is empty."""

    def __get__(self, it: Any, owner: Any = None, /) -> Any: ...

    def __set__(self, it: Any, value: Any, /) -> None: ...

    def __delete__(self, it: Any, /) -> None: ...


class Layout:
    """The fields of a class.

    Attributes:
        slots: the descriptor of each. By these, fields are found past whatever a derived class has put in front of
            them, so that a property of a field's name can keep its value there.
        values: returns the values of an object of the class itself, as a tuple; AttributeError if a slot is empty.
    """

    __slots__ = ("slots", "values")

    def __init__(self, slots: Mapping[str, Slot]) -> None:
        self.slots = slots
        self.values: Callable[[Any], tuple[Any, ...]]
        if len(slots) > 1:
            self.values = operator.attrgetter(*slots)
        elif slots:
            (slot,) = slots.values()
            self.values = lambda it: (slot.__get__(it),)
        else:
            self.values = lambda it: ()


class Attributes(dict[str, Any]):
    """The attributes of an object: its fields in their order, and then its own.

    Args:
        it: the object.
        layout: its fields.
        others: the object's real ``__dict__``; None if it has none.
    """

    __slots__ = ("_it", "_others", "_slots")

    def __init__(self, it: Any, layout: Layout, others: dict[str, Any] | None) -> None:
        self._it = it
        self._slots = layout.slots
        self._others = others
        if others is None:
            try:
                super().__init__(zip(layout.slots, layout.values(it)))
                return
            except AttributeError:  # some slots are empty
                pass
        super().__init__()
        hold = super().__setitem__
        for name, slot in layout.slots.items():
            try:
                hold(name, slot.__get__(it))
            except AttributeError:
                pass
        super().update(others or {})

    def __setitem__(self, name: str, value: Any) -> None:
        """Sets an attribute of the object. AttributeError if it takes none of this name."""
        if name in self._slots:
            self._slots[name].__set__(self._it, value)
        elif self._others is not None:
            self._others[name] = value
        else:
            fields = ", ".join(self._slots) or "none"
            raise AttributeError(f"{type(self._it).__name__!r} object has no attribute {name!r}; its fields: {fields}")
        super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        """Deletes an attribute of the object. KeyError if it has none of this name."""
        super().__delitem__(name)
        if name in self._slots:
            self._slots[name].__delete__(self._it)
        elif self._others is not None:
            del self._others[name]

    def __ior__(self, more: Any) -> Any:  # type: ignore[misc]  # | gives a plain dict
        """Sets several attributes of the object."""
        self.update(more)
        return self

    def pop(self, name: str, *default: Any) -> Any:
        """Deletes an attribute of the object and returns its value."""
        if name not in self and default:
            return default[0]
        value = self[name]
        del self[name]
        return value

    # Of a dict these would pass by the methods above.
    clear = MutableMapping.clear
    popitem = MutableMapping.popitem
    setdefault = MutableMapping.setdefault
    update = MutableMapping.update

    def __reduce__(self) -> Any:
        """Copies and pickles are plain dicts."""
        return dict, (dict(self),)


class Slotted:
    """The base of structs whose fields are slots. In their classes another base stands behind it, which says how they
    print, compare and hash by ``__dict__``."""

    __slots__ = ("__weakref__",)
    __thrift_layout__: Layout

    @property
    def __dict__(self) -> Any:  # type: ignore[override]  # which must be one for mypy
        """The attributes that are set."""
        return Attributes(self, type(self).__thrift_layout__, super().__dict__ if type(self).__dictoffset__ else None)

    def __eq__(self, other: object) -> bool:
        """Whether all attributes are equal."""
        cls = type(self)
        if type(other) is cls and not cls.__dictoffset__:
            values = cls.__thrift_layout__.values
            try:
                return values(self) == values(other)
            except AttributeError:
                pass
        return super().__eq__(other)

    def __hash__(self) -> int:
        """The same for equal objects, though they may hold lists, sets and dicts."""
        cls = type(self)
        if not cls.__dictoffset__:
            try:
                values = cls.__thrift_layout__.values(self)
                return hash((cls, *[one if type(one) in _ATOMS else _frozen(one) for one in values]))
            except AttributeError:
                pass
        return super().__hash__()

    def __getstate__(self) -> Any:
        """The state for ``pickle``: a dict of all attributes, and another if a derived class has slots. Never None:
        ``__setstate__`` would not be called then, and fields that a later IDL adds to a struct without fields would
        lack their defaults."""
        cls = type(self)
        if not cls.__dictoffset__:
            try:
                return dict(zip(cls.__thrift_layout__.slots, cls.__thrift_layout__.values(self)))
            except AttributeError:
                return dict(self.__dict__)
        attributes, state = dict(self.__dict__), super().__getstate__()
        return (attributes, state[1]) if isinstance(state, tuple) else attributes

    def __setstate__(self, state: Any) -> None:
        """Unpickles an object. Fields that the pickle lacks get their defaults; those that only it has, and other
        attributes of old pickles, are dropped if the object has no place for them."""
        state, own = state if isinstance(state, tuple) else (state, {})
        state = state or {}
        slots = type(self).__thrift_layout__.slots
        if not slots.keys() <= state.keys():
            made: Any = next(cls for cls in type(self).__mro__ if "__thrift_layout__" in vars(cls))
            made.__init__(self)  # and not what a derived class has made of it
        others = super().__dict__ if type(self).__dictoffset__ else None
        for name, value in state.items():
            if name in slots:
                slots[name].__set__(self, value)
            elif others is not None:
                others[name] = value
        for name, value in own.items():
            setattr(self, name, value)


def _frozen(value: Any) -> Any:
    """A value with the same hash for equal values, whether they can be hashed or not."""
    if isinstance(value, (list, tuple)):
        return tuple([one if type(one) in _ATOMS else _frozen(one) for one in value])
    if isinstance(value, (set, frozenset)):
        return frozenset(map(_frozen, value))
    if isinstance(value, dict):
        return frozenset((_frozen(key), _frozen(one)) for key, one in value.items())
    return value
