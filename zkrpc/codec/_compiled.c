/* Structs to bytes and back in one pass each way. zkrpc/codec/compiled.py describes the shapes and says when they are
   used.

   It only ever says yes. Whatever does not fit, or is out of the ordinary, is answered with None, and the Python path
   does it again and words the error; so nothing here has a message, and a function that returns 0 or NULL may or may
   not have set an exception. What is not an Exception (KeyboardInterrupt, a greenlet's end) is passed on.

   Calls into Python can do anything: change the list that is being encoded, switch greenlets, encode something else.
   They happen where an attribute is read or set that is no slot, where a struct is hashed or compared, where a default
   is copied, where a UUID is made or read, and where something is released. So all state is in the arguments and locals
   of one call; whatever is used after such a call is owned; sizes are looked at again after each element. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

#ifndef BUILT_FROM
#error "setup.py defines what this is built from"
#endif

/* Thrift's numbers, and zkrpc's for binary; see Kind in shape.py. */
enum kind {
    BOOL = 2, I8 = 3, DOUBLE = 4, I16 = 6, I32 = 8, I64 = 10, STRING = 11, STRUCT = 12, MAP = 13, SET = 14, LIST = 15,
    UUID = 16, BINARY = 18, KINDS = 19
};

enum {
    MAX_STRUCTS = 64,  /* inside each other, as Apache's C module takes them */
    MAX_LEVELS = 128,  /* of structs and containers inside the outermost struct; MAX_DEPTH in budget.py */
    MAX_TYPES = 64,    /* containers inside each other in a declaration */
    ELEMENT = 4,       /* what one costs in the units of budget.py */
    BULK = 2,          /* as there */
    FEW = 32,          /* as there */
    FEW_FIELDS = 24,   /* whose values fit on the stack */
    LOCAL = 4096,      /* bytes that are written before memory is asked for */
    SHORT = 128,       /* bytes of text that is made here */
    FEW_BYTES = 32,    /* that are written without memcpy */
    KEYS = 512,        /* that are kept */
    SHORT_KEY = 32,    /* bytes of one */
    FEW_KEYS = 128     /* in a map or set; those of larger ones are not kept, as they would drive out all others */
};

/* The numbers of the compact encoding, and the way back. */
static const unsigned char compact_of[KINDS] = {
    [BOOL] = 1, [I8] = 3, [I16] = 4, [I32] = 5, [I64] = 6, [DOUBLE] = 7, [STRING] = 8, [BINARY] = 8, [LIST] = 9,
    [SET] = 10, [MAP] = 11, [STRUCT] = 12, [UUID] = 13
};
static const unsigned char kind_of[16] = {0, BOOL, BOOL, I8, I16, I32, I64, DOUBLE, STRING, LIST, SET, MAP, STRUCT, UUID};

/* Bytes that a value takes at least, 0 for kinds that are not on the wire; and what it costs at least. */
static const unsigned char least_binary[KINDS] = {
    [BOOL] = 1, [I8] = 1, [DOUBLE] = 8, [I16] = 2, [I32] = 4, [I64] = 8, [STRING] = 4, [STRUCT] = 1, [MAP] = 6,
    [SET] = 5, [LIST] = 5, [UUID] = 16
};
static const unsigned char least_compact[KINDS] = {
    [BOOL] = 1, [I8] = 1, [DOUBLE] = 8, [I16] = 1, [I32] = 1, [I64] = 1, [STRING] = 1, [STRUCT] = 1, [MAP] = 1,
    [SET] = 1, [LIST] = 1, [UUID] = 16
};
static const unsigned char least_cost[KINDS] = {
    [BOOL] = 1, [I8] = 1, [DOUBLE] = 1, [I16] = 1, [I32] = 1, [I64] = 1, [STRING] = ELEMENT, [STRUCT] = ELEMENT,
    [MAP] = 2 * ELEMENT, [SET] = 2 * ELEMENT, [LIST] = 2 * ELEMENT, [UUID] = 1
};

typedef struct shape Shape;

/* A declared type. */
typedef struct type {
    unsigned char kind;
    unsigned char wire;          /* the same, but binary is a string */
    unsigned char hashed;        /* is or is in a key or member: lists are read as tuples, sets as frozensets */
    PyObject *of;                /* the Shape of a struct, the class of a UUID */
    struct type *inner[2];       /* of a list or set the first, of a map key and value */
} Type;

typedef struct {
    short id;
    char required;
    char makes;                  /* initial is called for the value */
    PyObject *name;
    PyObject *initial;           /* what a field holds that has not come */
    uint32_t head;               /* what stands in front of its value in the binary encoding, and a 0 */
    Py_ssize_t slot;             /* where objects of exactly the shape's class hold it; 0 if it is an attribute */
    Type type;
} Field;

struct shape {
    PyObject_HEAD
    PyTypeObject *class;         /* NULL: any object when encoding, a tuple when decoding */
    Field *fields;               /* by their ids, negative ones last; NULL until defined */
    Py_ssize_t count;
    short *index;                /* of the field with the id lowest + place; -1 if there is none */
    int lowest, highest;
    Py_ssize_t *order;           /* of the fields as they were declared */
    char is_union;
    char makes;                  /* the class is called for objects, as what they hold at first is not known */
    char counted;                /* the budget holds for short bodies too */
};

/* The module's. Maps have the same keys again and again, so those that came last are kept: short ASCII text, each in the
   only place that it may have. */
typedef struct {
    PyObject *keys[KEYS];
} State;

static inline int
is_scalar(int kind)
{
    return kind <= I64 || kind == UUID;
}

/* Whether no Python runs while such a value is written. */
static inline int
is_leaf(int kind)
{
    return kind <= STRING || kind == BINARY;
}

/* Decoding */

typedef struct {
    const unsigned char *at, *end;
    long long left;              /* of the budget */
    int counted;                 /* whether there is one */
    int structs, levels;         /* that are open */
    int compact;
    PyObject **keys;             /* of the module's state; NULL if there is none any more */
} Source;

static PyObject *read_branch(const Type *type, Source *s);
static PyObject *read_struct(Shape *shape, Source *s);

static inline int
has(const Source *s, Py_ssize_t length)
{
    return length <= s->end - s->at;
}

static inline int
pay(Source *s, long long cost)
{
    if (s->counted) {
        s->left -= cost;
    }
    return s->left >= 0;
}

/* A number of so many bytes, most significant first. */
static inline uint64_t
big_endian(const unsigned char *at, int size)
{
    uint64_t number = 0;
    for (int place = 0; place < size; place++) {
        number = number << 8 | at[place];
    }
    return number;
}

/* A number of so many bits in 7 bits a byte, no longer than that many bits need. */
static int
read_varint(Source *s, int bits, uint64_t *number)
{
    uint64_t value = 0;
    for (int shift = 0; shift < bits; shift += 7) {
        if (s->at >= s->end) {
            return 0;
        }
        unsigned char byte = *s->at++;
        if (shift + 7 > bits && (byte & 0x7F) >> (bits - shift)) {
            return 0;
        }
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *number = value;
            return 1;
        }
    }
    return 0;
}

static inline int64_t
unfold(uint64_t number)
{
    return (int64_t)(number >> 1 ^ (0 - (number & 1)));
}

static inline Py_ALWAYS_INLINE int
read_integer(Source *s, int kind, int64_t *number)
{
    int size = least_binary[kind];
    if (s->compact && kind != I8) {
        uint64_t raw;
        if (!read_varint(s, size * 8, &raw)) {
            return 0;
        }
        *number = unfold(raw);
        return 1;
    }
    if (!has(s, size)) {
        return 0;
    }
    switch (size) {
    case 1:
        *number = (int8_t)*s->at;
        break;
    case 2:
        *number = (int16_t)big_endian(s->at, 2);
        break;
    case 4:
        *number = (int32_t)big_endian(s->at, 4);
        break;
    default:
        *number = (int64_t)big_endian(s->at, 8);
    }
    s->at += size;
    return 1;
}

/* A length or count, of which so many bytes at least must be there. */
static inline Py_ALWAYS_INLINE int
read_count(Source *s, Py_ssize_t *count)
{
    uint64_t number;
    if (s->compact) {
        if (!read_varint(s, 32, &number)) {
            return 0;
        }
    }
    else {
        if (!has(s, 4)) {
            return 0;
        }
        number = big_endian(s->at, 4);
        s->at += 4;
    }
    *count = (Py_ssize_t)number;
    return number <= INT32_MAX && has(s, *count);
}

/* Where the bytes of a string are. */
static inline Py_ALWAYS_INLINE int
read_bytes(Source *s, const char **bytes, Py_ssize_t *length)
{
    if (!pay(s, ELEMENT) || !read_count(s, length)) {
        return 0;
    }
    *bytes = (const char *)s->at;
    s->at += *length;
    return 1;
}

/* Pays for numbers of variable length as budget.py does, which looks at many together. */
static int
pay_varints(Source *s, Py_ssize_t count)
{
    const unsigned char *at = s->at;
    Py_ssize_t left = count;
    while (left > FEW && at < s->end) {
        Py_ssize_t ended = 0;
        if (left > s->end - at) {
            return 0;
        }
        for (Py_ssize_t place = 0; place < left; place++) {
            ended += at[place] < 0x80;
        }
        at += left;
        left -= ended;
    }
    if (!pay(s, (count - left) >> BULK)) {
        return 0;
    }
    for (; left; left--) {
        const unsigned char *began = at;
        do {
            if (at >= s->end) {
                return 0;
            }
        } while (*at++ & 0x80);
        if (!pay(s, 1 + ((at - began) >> 1))) {
            return 0;
        }
    }
    return 1;
}

typedef struct {
    Py_ssize_t count;
    int parts;                   /* 2 for a map */
    int kinds[2];                /* on the wire, if there are any values */
    int paid;                    /* whether all values are, otherwise each is when it is read */
} Container;

/* Opens a list, set or map. What it says it holds must be possible with the bytes and the budget that are left, before
   anything is made for it. Closing it is taking off a level. */
static int
open_container(Source *s, int kind, Container *c)
{
    int first = 0, second = 0;
    c->parts = kind == MAP ? 2 : 1;
    c->paid = 0;
    if (++s->levels > MAX_LEVELS || !pay(s, 2 * ELEMENT)) {
        return 0;
    }
    if (!s->compact) {
        if (!has(s, c->parts)) {
            return 0;
        }
        first = s->at[0];
        second = s->at[c->parts - 1];
        s->at += c->parts;
        if (!read_count(s, &c->count)) {
            return 0;
        }
        first = first < KINDS && first != BINARY && least_binary[first] ? first : 0;
        second = second < KINDS && second != BINARY && least_binary[second] ? second : 0;
    }
    else if (kind == MAP) {
        if (!read_count(s, &c->count)) {
            return 0;
        }
        if (c->count) {
            if (!has(s, 1)) {
                return 0;
            }
            first = kind_of[*s->at >> 4];
            second = kind_of[*s->at++ & 0x0F];
        }
    }
    else {
        if (!has(s, 1)) {
            return 0;
        }
        unsigned char head = *s->at++;
        c->count = head >> 4;
        if (c->count == 15 && !read_count(s, &c->count)) {
            return 0;
        }
        first = second = kind_of[head & 0x0F];
        if (!first) {
            return 0;
        }
    }
    c->kinds[0] = first;
    c->kinds[1] = second;
    if (!c->count) {
        return 1;
    }
    if (!first || !second) {
        return 0;
    }
    const unsigned char *least = s->compact ? least_compact : least_binary;
    if (!has(s, c->count * (least[first] + (c->parts == 2 ? least[second] : 0)))) {
        return 0;
    }
    if (!s->counted) {
        c->paid = 1;
        return 1;
    }
    if (is_scalar(first) && is_scalar(second) && (!s->compact || c->parts == 1)) {
        c->paid = 1;
        if (s->compact && (first == I16 || first == I32 || first == I64)) {
            return pay_varints(s, c->count);
        }
        return pay(s, c->count * c->parts >> BULK);
    }
    return c->count * (least_cost[first] + (c->parts == 2 ? least_cost[second] : 0)) <= s->left;
}

/* Pays for a number or bool that began at a place; what is no scalar pays for itself. */
static inline int
pay_scalar(Source *s, int kind, const unsigned char *began)
{
    if (!s->counted || !is_scalar(kind)) {
        return 1;
    }
    int varies = s->compact && (kind == I16 || kind == I32 || kind == I64);
    return pay(s, varies ? 1 + ((s->at - began) >> 1) : 1);
}

/* Reads the head of a field. Its kind is 0 at the end of the struct; a bool's value may be in its head. */
static inline int
read_head(Source *s, int *kind, int *id, int *flag)
{
    *flag = -1;
    if (!has(s, 1)) {
        return 0;
    }
    unsigned char head = *s->at++;
    if (!head) {
        *kind = 0;
        return 1;
    }
    if (!s->compact) {
        if (head >= KINDS || head == BINARY || !least_binary[head] || !has(s, 2)) {
            return 0;
        }
        *kind = head;
        *id = (int16_t)big_endian(s->at, 2);
        s->at += 2;
        return 1;
    }
    *kind = kind_of[head & 0x0F];
    if (head >> 4) {
        *id += head >> 4;
    }
    else {
        uint64_t raw;
        if (!pay(s, 1) || !read_varint(s, 16, &raw)) {
            return 0;
        }
        *id = (int)unfold(raw);
    }
    if (*kind == BOOL) {
        *flag = (head & 0x0F) == 1;
        return *id <= INT16_MAX && pay(s, 1);
    }
    return *kind && *id <= INT16_MAX;
}

static int skip_value(Source *s, int kind);

static int
skip_struct(Source *s)
{
    int kind, id = 0, flag;
    if (s->structs >= MAX_STRUCTS || s->levels >= MAX_LEVELS || !pay(s, ELEMENT)) {
        return 0;
    }
    s->structs++;
    s->levels++;
    for (;;) {
        if (!read_head(s, &kind, &id, &flag)) {
            return 0;
        }
        if (!kind) {
            break;
        }
        const unsigned char *began = s->at;
        if (flag < 0 && (!skip_value(s, kind) || !pay_scalar(s, kind, began))) {
            return 0;
        }
    }
    s->structs--;
    s->levels--;
    return 1;
}

static int
skip_value(Source *s, int kind)
{
    const char *bytes;
    Py_ssize_t length;
    int64_t number;
    Container c;
    switch (kind) {
    case STRING:
        return read_bytes(s, &bytes, &length);
    case STRUCT:
        return skip_struct(s);
    case I16: case I32: case I64:
        return read_integer(s, kind, &number);
    case LIST: case SET: case MAP:
        if (!open_container(s, kind, &c)) {
            return 0;
        }
        for (; c.count; c.count--) {
            for (int part = 0; part < c.parts; part++) {
                const unsigned char *began = s->at;
                if (!skip_value(s, c.kinds[part]) || (!c.paid && !pay_scalar(s, c.kinds[part], began))) {
                    return 0;
                }
            }
        }
        s->levels--;
        return 1;
    default:
        if (!has(s, least_binary[kind])) {
            return 0;
        }
        s->at += least_binary[kind];
        return 1;
    }
}

static inline PyObject *
make_integer(int64_t number)
{
    /* The quicker one where it takes all. */
    return sizeof(long) >= sizeof number ? PyLong_FromLong((long)number) : PyLong_FromLongLong(number);
}

static inline Py_ALWAYS_INLINE PyObject *
read_bool(Source *s)
{
    unsigned char byte = has(s, 1) ? *s->at++ : 0xFF;
    /* Libraries disagree about other bytes. */
    if (byte > 2 || (byte == 2 && !s->compact)) {
        return NULL;
    }
    return PyBool_FromLong(byte == 1);
}

static inline Py_ALWAYS_INLINE PyObject *
read_double(Source *s)
{
    if (!has(s, 8)) {
        return NULL;
    }
    uint64_t raw = 0;
    double number;
    if (s->compact) {
        for (int place = 7; place >= 0; place--) {
            raw = raw << 8 | s->at[place];
        }
    }
    else {
        raw = big_endian(s->at, 8);
    }
    s->at += 8;
    memcpy(&number, &raw, 8);
    return PyFloat_FromDouble(number);
}

static PyObject *
read_uuid(const Type *type, Source *s)
{
    if (!has(s, 16)) {
        return NULL;
    }
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)s->at, 16);
    s->at += 16;
    PyObject *made = bytes ? PyObject_CallFunctionObjArgs(type->of, Py_None, bytes, NULL) : NULL;
    Py_XDECREF(bytes);
    return made;
}

static inline uint64_t
word_of(const char *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

/* The first and last bytes of 2 or more: all of them if they are 16 or less. */
static inline void
ends_of(const char *bytes, Py_ssize_t length, uint64_t *first, uint64_t *last)
{
    uint32_t four;
    uint16_t two;
    if (length >= 8) {
        *first = word_of(bytes);
        *last = word_of(bytes + length - 8);
    }
    else if (length >= 4) {
        memcpy(&four, bytes, 4);
        *first = four;
        memcpy(&four, bytes + length - 4, 4);
        *last = four;
    }
    else {
        memcpy(&two, bytes, 2);
        *first = two;
        memcpy(&two, bytes + length - 2, 2);
        *last = two;
    }
}

/* Whether 2 bytes or more are all ASCII. */
static inline int
is_ascii(const char *bytes, Py_ssize_t length)
{
    uint64_t first, all;
    ends_of(bytes, length, &first, &all);
    all |= first;
    for (Py_ssize_t at = 8; at < length - 8; at += 8) {
        all |= word_of(bytes + at);
    }
    return !(all & 0x8080808080808080);
}

/* Copies 2 bytes or more; if there are not many, calling memcpy takes longer. */
static inline void
copy_few(void *to, const void *from, Py_ssize_t length)
{
    char *into = to;
    const char *bytes = from;
    if (length < 4) {
        memcpy(into + length - 2, bytes + length - 2, 2);
        memcpy(into, bytes, 2);
    }
    else if (length < 8) {
        memcpy(into + length - 4, bytes + length - 4, 4);
        memcpy(into, bytes, 4);
    }
    else {
        for (Py_ssize_t at = 0; at < length - 8; at += 8) {
            memcpy(into + at, bytes + at, 8);
        }
        memcpy(into + length - 8, bytes + length - 8, 8);
    }
}

/* Makes text of 2 to SHORT bytes of ASCII. */
static inline PyObject *
make_text(const char *bytes, Py_ssize_t length)
{
    PyObject *text = PyUnicode_New(length, 0x7F);
    if (text) {
        copy_few(PyUnicode_1BYTE_DATA(text), bytes, length);
    }
    return text;
}

static inline Py_ALWAYS_INLINE PyObject *
read_text(Source *s)
{
    const char *bytes;
    Py_ssize_t length;
    if (!read_bytes(s, &bytes, &length)) {
        return NULL;
    }
    /* Python has all texts of one character already. */
    return length >= 2 && length <= SHORT && is_ascii(bytes, length) ? make_text(bytes, length)
                                                                     : PyUnicode_DecodeUTF8(bytes, length, NULL);
}

/* Text that is a key or a member. A peer that makes up keys drives out what is kept, and no more. */
static PyObject *
read_key(Source *s)
{
    const char *bytes;
    Py_ssize_t length;
    if (!read_bytes(s, &bytes, &length)) {
        return NULL;
    }
    if (length < 2 || length > SHORT_KEY || !s->keys) {
        return PyUnicode_DecodeUTF8(bytes, length, NULL);
    }
    uint64_t first, last, kept_first, kept_last;
    ends_of(bytes, length, &first, &last);
    uint64_t mixed = (first * 0x9E3779B97F4A7C15 + last + (uint64_t)length) * 0xD6E8FEB86659FD93;
    PyObject **kept = &s->keys[(mixed >> 32) % KEYS];
    if (*kept && PyUnicode_GET_LENGTH(*kept) == length) {
        const char *text = (const char *)PyUnicode_1BYTE_DATA(*kept);
        ends_of(text, length, &kept_first, &kept_last);
        if (first == kept_first && last == kept_last && (length <= 16 || !memcmp(text, bytes, length))) {
            return Py_NewRef(*kept);
        }
    }
    if (!is_ascii(bytes, length)) {
        return PyUnicode_DecodeUTF8(bytes, length, NULL);
    }
    PyObject *text = make_text(bytes, length);
    if (text) {
        Py_XSETREF(*kept, Py_NewRef(text));
    }
    return text;
}

static inline Py_ALWAYS_INLINE PyObject *
read_value(const Type *type, Source *s)
{
    const char *bytes;
    Py_ssize_t length;
    int64_t number;
    switch (type->kind) {
    case BOOL:
        return read_bool(s);
    case I8: case I16: case I32: case I64:
        return read_integer(s, type->kind, &number) ? make_integer(number) : NULL;
    case DOUBLE:
        return read_double(s);
    case STRING:
        return read_text(s);
    case BINARY:
        return read_bytes(s, &bytes, &length) ? PyBytes_FromStringAndSize(bytes, length) : NULL;
    default:
        return read_branch(type, s);
    }
}

/* Reads one of the values in a container. */
static inline Py_ALWAYS_INLINE PyObject *
read_part(const Type *type, Source *s, int paid)
{
    const unsigned char *began = s->at;
    PyObject *value = read_value(type, s);
    if (value && !paid && !pay_scalar(s, type->wire, began)) {
        Py_DECREF(value);
        return NULL;
    }
    return value;
}

static PyObject *
read_sequence(const Type *type, Source *s, const Container *c)
{
    PyObject *made = type->hashed ? PyTuple_New(c->count) : PyList_New(c->count);
    int hidden = made && c->count;
    if (hidden) {
        PyObject_GC_UnTrack(made);  /* nobody finds what is not filled yet */
    }
    for (Py_ssize_t place = 0; made && place < c->count; place++) {
        PyObject *value = read_part(type->inner[0], s, c->paid);
        if (!value) {
            Py_CLEAR(made);
        }
        else if (type->hashed) {
            PyTuple_SET_ITEM(made, place, value);
        }
        else {
            PyList_SET_ITEM(made, place, value);
        }
    }
    if (hidden && made) {
        PyObject_GC_Track(made);
    }
    return made;
}

static PyObject *
read_set(const Type *type, Source *s, const Container *c)
{
    PyObject *made = PySet_New(NULL);
    int is_text = type->inner[0]->kind == STRING && c->count <= FEW_KEYS;
    for (Py_ssize_t place = 0; made && place < c->count; place++) {
        PyObject *value = is_text ? read_key(s) : read_part(type->inner[0], s, c->paid);
        if (!value || PySet_Add(made, value) < 0) {
            Py_CLEAR(made);
        }
        Py_XDECREF(value);
    }
    if (made && type->hashed) {
        Py_SETREF(made, PyFrozenSet_New(made));
    }
    return made;
}

static PyObject *
read_map(const Type *type, Source *s, const Container *c)
{
    PyObject *made = PyDict_New();
    int is_text = type->inner[0]->kind == STRING && c->count <= FEW_KEYS;
    for (Py_ssize_t place = 0; made && place < c->count; place++) {
        PyObject *key = is_text ? read_key(s) : read_part(type->inner[0], s, c->paid);
        PyObject *value = key ? read_part(type->inner[1], s, c->paid) : NULL;
        if (!value || PyDict_SetItem(made, key, value) < 0) {
            Py_CLEAR(made);
        }
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    return made;
}

static PyObject *
read_container(const Type *type, Source *s)
{
    Container c;
    if (!open_container(s, type->kind, &c)) {
        return NULL;
    }
    if (c.count && (c.kinds[0] != type->inner[0]->wire || (c.parts == 2 && c.kinds[1] != type->inner[1]->wire))) {
        return NULL;
    }
    PyObject *made = type->kind == LIST ? read_sequence(type, s, &c)
                     : type->kind == SET ? read_set(type, s, &c)
                                         : read_map(type, s, &c);
    s->levels--;
    return made;
}

/* What is no leaf. */
static PyObject *
read_branch(const Type *type, Source *s)
{
    if (type->kind != STRUCT) {
        return type->kind == UUID ? read_uuid(type, s) : read_container(type, s);
    }
    if (++s->levels > MAX_LEVELS || !pay(s, ELEMENT)) {
        return NULL;
    }
    PyObject *made = read_struct((Shape *)type->of, s);
    s->levels--;
    return made;
}

/* Reads the head of the field at a place if it is in the binary encoding and comes next, as nearly all do. */
static inline int
read_expected(const Shape *shape, Source *s, Py_ssize_t place)
{
    static const unsigned char head[4] = {0xFF, 0xFF, 0xFF, 0};
    uint32_t found, mask;
    if (s->compact || place >= shape->count || !has(s, 4)) {
        return 0;
    }
    memcpy(&found, s->at, 4);
    memcpy(&mask, head, 4);
    if ((found & mask) != shape->fields[place].head) {
        return 0;
    }
    s->at += 3;
    return 1;
}

/* Reads the fields of a struct, up to and with its end. */
static int
read_fields(const Shape *shape, Source *s, PyObject **values)
{
    int kind, id = 0, flag, place = -1;
    for (;;) {
        while (read_expected(shape, s, place + 1)) {
            const unsigned char *began = s->at;
            const Type *type = &shape->fields[++place].type;
            PyObject *value = read_value(type, s);
            if (!value) {
                return 0;
            }
            Py_XSETREF(values[place], value);
            if (!pay_scalar(s, type->wire, began)) {
                return 0;
            }
        }
        if (!read_head(s, &kind, &id, &flag)) {
            return 0;
        }
        if (!kind) {
            return 1;
        }
        const unsigned char *began = s->at;
        place = id < shape->lowest || id > shape->highest ? -1 : shape->index[id - shape->lowest];
        const Type *type = place < 0 ? NULL : &shape->fields[place].type;
        if (!type || type->wire != kind) {
            if (flag < 0 && !skip_value(s, kind)) {
                return 0;
            }
        }
        else {
            PyObject *value = flag < 0 ? read_value(type, s) : PyBool_FromLong(flag);
            if (!value) {
                return 0;
            }
            Py_XSETREF(values[place], value);
        }
        if (flag < 0 && !pay_scalar(s, kind, began)) {
            return 0;
        }
    }
}

/* Fills in what has not come, and checks that what has come is all that is needed. */
static int
complete(const Shape *shape, PyObject **values)
{
    Py_ssize_t members = 0;
    for (Py_ssize_t place = 0; place < shape->count; place++) {
        const Field *field = &shape->fields[place];
        if (!values[place]) {
            PyObject *initial = field->makes ? PyObject_CallNoArgs(field->initial) : Py_NewRef(field->initial);
            if (!initial) {
                return 0;
            }
            values[place] = initial;
        }
        if (values[place] != Py_None) {
            members++;
        }
        else if (field->required) {
            return 0;
        }
    }
    return !shape->is_union || members <= 1;
}

/* The same for an object whose class has been called and that holds what has come. */
static int
is_complete(const Shape *shape, PyObject *made)
{
    Py_ssize_t members = 0;
    for (Py_ssize_t place = 0; place < shape->count; place++) {
        PyObject *value = PyObject_GetAttr(made, shape->fields[place].name);
        if (!value || (value == Py_None && shape->fields[place].required)) {
            Py_XDECREF(value);
            return 0;
        }
        members += value != Py_None;
        Py_DECREF(value);
    }
    return !shape->is_union || members <= 1;
}

/* A tuple of the values, as the fields were declared. */
static PyObject *
make_tuple(const Shape *shape, PyObject **values)
{
    PyObject *made = complete(shape, values) ? PyTuple_New(shape->count) : NULL;
    for (Py_ssize_t place = 0; made && place < shape->count; place++) {
        PyObject **value = &values[shape->order[place]];
        PyTuple_SET_ITEM(made, place, *value);
        *value = NULL;
    }
    return made;
}

/* An object of the class, with attributes in the order in which the class itself sets them. */
static PyObject *
make_object(const Shape *shape, PyObject **values)
{
    PyTypeObject *class = shape->class;
    PyObject *made, *nothing;
    if (shape->makes) {
        made = PyObject_CallNoArgs((PyObject *)class);
    }
    else if (!complete(shape, values)) {
        return NULL;
    }
    else {
        if (!(nothing = PyTuple_New(0))) {
            return NULL;
        }
        made = class->tp_new(class, nothing, NULL);
        Py_DECREF(nothing);
    }
    if (!made || Py_TYPE(made) != class) {
        Py_XDECREF(made);
        return NULL;
    }
    for (Py_ssize_t place = 0; place < shape->count; place++) {
        Py_ssize_t at = shape->order[place];
        const Field *field = &shape->fields[at];
        if (!values[at]) {
            continue;
        }
        if (field->slot) {
            PyObject **slot = (PyObject **)((char *)made + field->slot);
            PyObject *value = values[at];
            values[at] = NULL;
            Py_XSETREF(*slot, value);
        }
        else if (PyObject_SetAttr(made, field->name, values[at]) < 0) {
            Py_DECREF(made);
            return NULL;
        }
        else {
            Py_CLEAR(values[at]);
        }
    }
    if (shape->makes && !is_complete(shape, made)) {
        Py_CLEAR(made);
    }
    return made;
}

/* The struct that begins here, however it is to be made; make may take the values away. */
static inline Py_ALWAYS_INLINE PyObject *
read_whole(Shape *shape, Source *s, PyObject *(*make)(const Shape *, PyObject **))
{
    PyObject *few[FEW_FIELDS], **values = few, *made = NULL;
    if (!shape->fields || s->structs >= MAX_STRUCTS) {
        return NULL;
    }
    if (shape->count <= FEW_FIELDS) {
        memset(few, 0, shape->count * sizeof(PyObject *));
    }
    else if (!(values = PyMem_Calloc(shape->count, sizeof(PyObject *)))) {
        return NULL;
    }
    s->structs++;
    if (read_fields(shape, s, values)) {
        made = make(shape, values);
    }
    s->structs--;
    for (Py_ssize_t place = 0; !made && place < shape->count; place++) {
        Py_XDECREF(values[place]);
    }
    if (values != few) {
        PyMem_Free(values);
    }
    return made;
}

static PyObject *
read_struct(Shape *shape, Source *s)
{
    return shape->class ? read_whole(shape, s, make_object) : read_whole(shape, s, make_tuple);
}

/* Encoding */

typedef struct {
    unsigned char *begin, *at, *end;
    PyObject *bytes;             /* holds what is written, once that is more than fits into local */
    int structs, levels;         /* that are open */
    int compact;
    unsigned char local[LOCAL];
} Sink;

static int write_branch(Sink *s, const Type *type, PyObject *value);

static Py_NO_INLINE int
grow(Sink *s, Py_ssize_t more)
{
    Py_ssize_t used = s->at - s->begin;
    if (more > PY_SSIZE_T_MAX / 4 || used > PY_SSIZE_T_MAX / 4) {
        return 0;
    }
    Py_ssize_t size = used + more + (used + more) / 4 + LOCAL;
    if (s->bytes) {
        if (_PyBytes_Resize(&s->bytes, size) < 0) {
            return 0;
        }
    }
    else {
        s->bytes = PyBytes_FromStringAndSize(NULL, size);
        if (!s->bytes) {
            return 0;
        }
        memcpy(PyBytes_AS_STRING(s->bytes), s->begin, used);
    }
    s->begin = (unsigned char *)PyBytes_AS_STRING(s->bytes);
    s->at = s->begin + used;
    s->end = s->begin + size;
    return 1;
}

/* Makes room for so many more bytes. */
static inline int
room(Sink *s, Py_ssize_t more)
{
    return more <= s->end - s->at || grow(s, more);
}

static inline void
put(Sink *s, unsigned char byte)
{
    *s->at++ = byte;
}

static inline void
put_big_endian(Sink *s, uint64_t number, int size)
{
    unsigned char *at = s->at;   /* bytes may be anything's, s->at's too; so gcc makes one store only of these */
    for (int place = 0; place < size; place++) {
        at[place] = (unsigned char)(number >> (size - 1 - place) * 8);
    }
    s->at = at + size;
}

static inline void
put_varint(Sink *s, uint64_t number)
{
    for (; number >= 0x80; number >>= 7) {
        put(s, (unsigned char)(number | 0x80));
    }
    put(s, (unsigned char)number);
}

static inline uint64_t
fold(int64_t number)
{
    return (uint64_t)number << 1 ^ (number < 0 ? ~(uint64_t)0 : 0);
}

static inline void
put_integer(Sink *s, int kind, int64_t number)
{
    if (s->compact && kind != I8) {
        put_varint(s, fold(number));
        return;
    }
    switch (kind) {
    case I8:
        put(s, (unsigned char)number);
        break;
    case I16:
        put_big_endian(s, (uint64_t)number, 2);
        break;
    case I32:
        put_big_endian(s, (uint64_t)number, 4);
        break;
    default:
        put_big_endian(s, (uint64_t)number, 8);
    }
}

/* Writes a length, and makes room for so many bytes behind it. */
static inline int
write_count(Sink *s, Py_ssize_t count, Py_ssize_t behind)
{
    if (count > INT32_MAX || !room(s, 5 + behind)) {
        return 0;
    }
    if (s->compact) {
        put_varint(s, (uint64_t)count);
    }
    else {
        put_big_endian(s, (uint64_t)count, 4);
    }
    return 1;
}

static inline Py_ALWAYS_INLINE int
write_bytes(Sink *s, const void *bytes, Py_ssize_t length)
{
    if (length > INT32_MAX || !write_count(s, length, length)) {
        return 0;
    }
    if (length >= 2 && length <= FEW_BYTES) {
        copy_few(s->at, bytes, length);
    }
    else {
        memcpy(s->at, bytes, length);
    }
    s->at += length;
    return 1;
}

/* Writes text as UTF-8 that is not only ASCII; not PyUnicode_AsUTF8, which keeps its result as long as the text lives. */
static int
write_wide_text(Sink *s, PyObject *text)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(text), size = 0;
    const void *data = PyUnicode_DATA(text);
    int width = PyUnicode_KIND(text);
    if (length > INT32_MAX / 4) {
        return 0;
    }
    for (Py_ssize_t place = 0; place < length; place++) {
        Py_UCS4 c = PyUnicode_READ(width, data, place);
        if (c >= 0xD800 && c < 0xE000) {
            return 0;
        }
        size += 1 + (c >= 0x80) + (c >= 0x800) + (c >= 0x10000);
    }
    if (!write_count(s, size, size)) {
        return 0;
    }
    for (Py_ssize_t place = 0; place < length; place++) {
        Py_UCS4 c = PyUnicode_READ(width, data, place);
        if (c < 0x80) {
            put(s, (unsigned char)c);
            continue;
        }
        if (c < 0x800) {
            put(s, (unsigned char)(0xC0 | c >> 6));
        }
        else {
            if (c < 0x10000) {
                put(s, (unsigned char)(0xE0 | c >> 12));
            }
            else {
                put(s, (unsigned char)(0xF0 | c >> 18));
                put(s, (unsigned char)(0x80 | (c >> 12 & 0x3F)));
            }
            put(s, (unsigned char)(0x80 | (c >> 6 & 0x3F)));
        }
        put(s, (unsigned char)(0x80 | (c & 0x3F)));
    }
    return 1;
}

static inline Py_ALWAYS_INLINE int
write_text(Sink *s, PyObject *text)
{
#if PY_VERSION_HEX < 0x030C0000
    if (PyUnicode_READY(text) < 0) {
        return 0;
    }
#endif
    return PyUnicode_IS_ASCII(text) ? write_bytes(s, PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
                                    : write_wide_text(s, text);
}

static inline Py_ALWAYS_INLINE int
write_integer(Sink *s, int kind, PyObject *value)
{
    int overflow, bits = least_binary[kind] * 8;
    if (!PyLong_Check(value) || !room(s, 10)) {
        return 0;
    }
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow || (bits < 64 && (number < -(1LL << (bits - 1)) || number >= 1LL << (bits - 1)))) {
        return 0;
    }
    put_integer(s, kind, number);
    return 1;
}

static inline Py_ALWAYS_INLINE int
write_double(Sink *s, PyObject *value)
{
    double number;
    uint64_t raw;
    if (PyFloat_Check(value)) {
        number = PyFloat_AS_DOUBLE(value);
    }
    else if (PyLong_CheckExact(value) || PyBool_Check(value)) {
        number = PyLong_AsDouble(value);
        if (number == -1.0 && PyErr_Occurred()) {
            return 0;
        }
    }
    else {
        return 0;
    }
    if (!room(s, 8)) {
        return 0;
    }
    memcpy(&raw, &number, 8);
    if (s->compact) {
        for (int place = 0; place < 8; place++) {
            put(s, (unsigned char)(raw >> place * 8));
        }
    }
    else {
        put_big_endian(s, raw, 8);
    }
    return 1;
}

static int
write_uuid(Sink *s, const Type *type, PyObject *value)
{
    if ((PyObject *)Py_TYPE(value) != type->of) {
        return 0;
    }
    PyObject *bytes = PyObject_GetAttrString(value, "bytes");
    int done = bytes && PyBytes_CheckExact(bytes) && PyBytes_GET_SIZE(bytes) == 16 && room(s, 16);
    if (done) {
        memcpy(s->at, PyBytes_AS_STRING(bytes), 16);
        s->at += 16;
    }
    Py_XDECREF(bytes);
    return done;
}

static inline Py_ALWAYS_INLINE int
write_value(Sink *s, const Type *type, PyObject *value)
{
    switch (type->kind) {
    case BOOL:
        if (!PyBool_Check(value) || !room(s, 1)) {
            return 0;
        }
        put(s, value == Py_True ? 1 : s->compact ? 2 : 0);
        return 1;
    case I8: case I16: case I32: case I64:
        return write_integer(s, type->kind, value);
    case DOUBLE:
        return write_double(s, value);
    case STRING:
        return PyUnicode_Check(value) && write_text(s, value);
    case BINARY:
        return PyBytes_Check(value) && write_bytes(s, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
    default:
        return write_branch(s, type, value);
    }
}

/* Writes what stands before the values of a list or set. */
static int
write_opening(Sink *s, const Type *inner, Py_ssize_t count)
{
    if (!room(s, 6)) {
        return 0;
    }
    if (!s->compact) {
        put(s, inner->wire);
        return write_count(s, count, 0);
    }
    put(s, (unsigned char)((count < 15 ? count : 15) << 4 | compact_of[inner->kind]));
    return count < 15 || write_count(s, count, 0);
}

static inline int
is_fixed(int kind)
{
    return kind >= I16 && kind <= I64;
}

/* Numbers of one size; no Python runs meanwhile. */
static Py_NO_INLINE int
write_integers(Sink *s, int kind, PyObject **items, Py_ssize_t count)
{
    int bits = least_binary[kind] * 8, overflow;
    if (!room(s, count * least_binary[kind])) {
        return 0;
    }
    for (Py_ssize_t place = 0; place < count; place++) {
        PyObject *item = items[place];
        if (!item || !PyLong_Check(item)) {
            return 0;
        }
        long long number = PyLong_AsLongLongAndOverflow(item, &overflow);
        if (overflow || (bits < 64 && (number < -(1LL << (bits - 1)) || number >= 1LL << (bits - 1)))) {
            return 0;
        }
        put_integer(s, kind, number);
    }
    return 1;
}

/* The count is on the wire before the values are, so it must be what it was when they are through. */
static int
write_sequence(Sink *s, const Type *type, PyObject *value)
{
    int is_list = PyList_CheckExact(value);
    if (!is_list && !PyTuple_CheckExact(value)) {
        return 0;
    }
    const Type *inner = type->inner[0];
    Py_ssize_t count = Py_SIZE(value), place = 0;
    if (!write_opening(s, inner, count)) {
        return 0;
    }
    if (is_fixed(inner->kind) && !s->compact) {
        return write_integers(s, inner->kind, PySequence_Fast_ITEMS(value), count);
    }
    for (; place < Py_SIZE(value); place++) {
        PyObject *item = Py_XNewRef(is_list ? PyList_GET_ITEM(value, place) : PyTuple_GET_ITEM(value, place));
        int done = item && write_value(s, inner, item);
        Py_XDECREF(item);
        if (!done) {
            return 0;
        }
    }
    return place == count;
}

static int
write_set(Sink *s, const Type *type, PyObject *value)
{
    if (!PyAnySet_CheckExact(value)) {
        return 0;
    }
    Py_ssize_t count = PySet_GET_SIZE(value), done = 0;
    PyObject *items = PyObject_GetIter(value), *item;
    if (!items || !write_opening(s, type->inner[0], count)) {
        Py_XDECREF(items);
        return 0;
    }
    while ((item = PyIter_Next(items))) {
        int fits = write_value(s, type->inner[0], item);
        Py_DECREF(item);
        if (!fits) {
            break;
        }
        done++;
    }
    Py_DECREF(items);
    return done == count && !PyErr_Occurred();
}

static int
write_map(Sink *s, const Type *type, PyObject *value)
{
    if (!PyDict_CheckExact(value)) {
        return 0;
    }
    const Type *key_type = type->inner[0], *value_type = type->inner[1];
    Py_ssize_t count = PyDict_GET_SIZE(value), done = 0, place = 0;
    PyObject *key, *item;
    if (!room(s, 7)) {
        return 0;
    }
    if (s->compact) {
        if (!write_count(s, count, 1)) {
            return 0;
        }
        if (count) {
            put(s, (unsigned char)(compact_of[key_type->kind] << 4 | compact_of[value_type->kind]));
        }
    }
    else {
        put(s, key_type->wire);
        put(s, value_type->wire);
        if (!write_count(s, count, 0)) {
            return 0;
        }
    }
    int leaves = is_leaf(key_type->kind) && is_leaf(value_type->kind);
    /* Safe though the dict may change: the place is only a number, and what it leads to is looked up each time. */
    while (PyDict_GET_SIZE(value) == count && PyDict_Next(value, &place, &key, &item)) {
        if (!leaves) {
            Py_INCREF(key);
            Py_INCREF(item);
        }
        int fits = write_value(s, key_type, key) && write_value(s, value_type, item);
        if (!leaves) {
            Py_DECREF(key);
            Py_DECREF(item);
        }
        if (!fits) {
            return 0;
        }
        done++;
    }
    return done == count && PyDict_GET_SIZE(value) == count;
}

/* Writes a field's head; the value of a bool is part of it in the compact encoding. Returns 2 if that was all. */
static inline Py_ALWAYS_INLINE int
write_head(Sink *s, const Field *field, PyObject *value, int *last)
{
    if (!room(s, 4)) {
        return 0;
    }
    if (!s->compact) {
        memcpy(s->at, &field->head, 4);
        s->at += 3;
        return 1;
    }
    unsigned char kind = compact_of[field->type.kind];
    int is_bool = field->type.kind == BOOL, step = field->id - *last;
    if (is_bool) {
        if (!PyBool_Check(value)) {
            return 0;
        }
        kind = value == Py_True ? 1 : 2;
    }
    if (step > 0 && step <= 15) {
        put(s, (unsigned char)(step << 4 | kind));
    }
    else {
        put(s, kind);
        put_varint(s, fold(field->id));
    }
    *last = field->id;
    return is_bool ? 2 : 1;
}

static inline Py_ALWAYS_INLINE int
write_field(Sink *s, const Field *field, PyObject *value, int *last)
{
    int headed = write_head(s, field, value, last);
    return headed == 2 || (headed && write_value(s, &field->type, value));
}

static inline Py_ALWAYS_INLINE int
write_fields(Sink *s, const Shape *shape, PyObject *it)
{
    int last = 0;
    Py_ssize_t members = 0;
    for (Py_ssize_t place = 0; place < shape->count; place++) {
        const Field *field = &shape->fields[place];
        int lent = field->slot && Py_TYPE(it) == shape->class;
        PyObject *value = lent ? *(PyObject **)((char *)it + field->slot) : PyObject_GetAttr(it, field->name);
        if (!value) {
            return 0;
        }
        if (lent && !is_leaf(field->type.kind)) {
            Py_INCREF(value);
            lent = 0;
        }
        int fits = value == Py_None ? !field->required : write_field(s, field, value, &last);
        members += value != Py_None;
        if (!lent) {
            Py_DECREF(value);
        }
        if (!fits) {
            return 0;
        }
    }
    if ((shape->is_union && members != 1) || !room(s, 1)) {
        return 0;
    }
    put(s, 0);
    return 1;
}

static int
write_struct(Sink *s, const Shape *shape, PyObject *it)
{
    if (!shape->fields || s->structs >= MAX_STRUCTS || s->levels >= MAX_LEVELS
        || (shape->class && Py_TYPE(it) != shape->class && !PyType_IsSubtype(Py_TYPE(it), shape->class))) {
        return 0;
    }
    s->structs++;
    s->levels++;
    int done = write_fields(s, shape, it);
    s->structs--;
    s->levels--;
    return done;
}

/* What is no leaf. */
static int
write_branch(Sink *s, const Type *type, PyObject *value)
{
    if (type->kind == STRUCT) {
        return write_struct(s, (Shape *)type->of, value);
    }
    if (type->kind == UUID) {
        return write_uuid(s, type, value);
    }
    if (s->levels >= MAX_LEVELS) {
        return 0;
    }
    s->levels++;
    int done = type->kind == LIST ? write_sequence(s, type, value)
               : type->kind == SET ? write_set(s, type, value)
                                   : write_map(s, type, value);
    s->levels--;
    return done;
}

/* Defining shapes */

static int
fill_type(Shape *shape, Type *type, PyObject *description, int hashed, int depth);

/* Empties what fill_type has filled, or begun to. */
static void
clear_type(Type *type)
{
    Py_CLEAR(type->of);
    for (int part = 0; part < 2; part++) {
        if (type->inner[part]) {
            clear_type(type->inner[part]);
            PyMem_Free(type->inner[part]);
            type->inner[part] = NULL;
        }
    }
}

static int
fill_inner(Shape *shape, Type *type, int part, PyObject *description, int hashed, int depth)
{
    type->inner[part] = PyMem_Calloc(1, sizeof(Type));
    if (!type->inner[part]) {
        PyErr_NoMemory();
        return 0;
    }
    return fill_type(shape, type->inner[part], description, hashed, depth + 1);
}

/* From a tuple: the number of the kind, and behind it the types inside, the Shape of a struct, the class of a UUID. */
static int
fill_type(Shape *shape, Type *type, PyObject *description, int hashed, int depth)
{
    int kind = 0, parts;
    PyObject *first = NULL, *second = NULL;
    if (depth > MAX_TYPES || !PyTuple_Check(description)
        || !PyArg_ParseTuple(description, "i|OO", &kind, &first, &second)) {
        goto refuse;
    }
    if (kind < 0 || kind >= KINDS || !compact_of[kind]) {
        goto refuse;
    }
    parts = kind == MAP ? 2 : kind == LIST || kind == SET || kind == STRUCT || kind == UUID ? 1 : 0;
    if (parts != (first != NULL) + (second != NULL)) {
        goto refuse;
    }
    type->kind = (unsigned char)kind;
    type->wire = kind == BINARY ? STRING : (unsigned char)kind;
    type->hashed = (unsigned char)hashed;
    switch (kind) {
    case STRUCT:
        if (Py_TYPE(first) != Py_TYPE(shape)) {
            goto refuse;
        }
        type->of = Py_NewRef(first);
        return 1;
    case UUID:
        if (!PyType_Check(first)) {
            goto refuse;
        }
        type->of = Py_NewRef(first);
        return 1;
    case MAP:
        if (hashed) {
            goto refuse;
        }
        return fill_inner(shape, type, 0, first, 1, depth) && fill_inner(shape, type, 1, second, 0, depth);
    case SET:
        return fill_inner(shape, type, 0, first, 1, depth);
    case LIST:
        return fill_inner(shape, type, 0, first, hashed, depth);
    }
    return 1;
refuse:
    if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "not a type that can be compiled");
    }
    return 0;
}

/* Where objects of the class hold a field; 0 if that cannot be told, or reading it there would not be the same. */
static Py_ssize_t
slot_of(PyTypeObject *class, PyObject *name)
{
    if (!class || class->tp_getattro != PyObject_GenericGetAttr || class->tp_setattro != PyObject_GenericSetAttr) {
        return 0;
    }
    Py_ssize_t slot = 0;
    PyObject *found = PyObject_GetAttr((PyObject *)class, name);
    if (!found) {
        PyErr_Clear();
    }
    else if (Py_TYPE(found) == &PyMemberDescr_Type && PyType_IsSubtype(class, PyDescr_TYPE(found))) {
        const struct PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;
        if (member->type == T_OBJECT_EX && !(member->flags & READONLY) && member->offset > 0) {
            slot = member->offset;
        }
    }
    Py_XDECREF(found);
    return slot;
}

static void
clear_fields(Shape *shape)
{
    /* What is released may lead back here, and finds a shape that is not defined. */
    Field *fields = shape->fields;
    Py_ssize_t count = shape->count;
    PyTypeObject *class = shape->class;
    shape->fields = NULL;
    shape->class = NULL;
    shape->count = 0;
    PyMem_Free(shape->index);
    PyMem_Free(shape->order);
    shape->index = NULL;
    shape->order = NULL;
    for (Py_ssize_t place = 0; fields && place < count; place++) {
        Py_CLEAR(fields[place].name);
        Py_CLEAR(fields[place].initial);
        clear_type(&fields[place].type);
    }
    PyMem_Free(fields);
    Py_XDECREF(class);
}

/* From a tuple: id, name, whether it is required, what it holds at first, whether that is called for it, its type. */
static int
fill_field(Shape *shape, PyTypeObject *class, Field *field, PyObject *description)
{
    int required, makes;
    PyObject *name, *initial, *type;
    if (!PyTuple_Check(description)) {
        PyErr_SetString(PyExc_TypeError, "a field is a tuple");
        return 0;
    }
    if (!PyArg_ParseTuple(description, "hUpOpO", &field->id, &name, &required, &initial, &makes, &type)) {
        return 0;
    }
    field->name = Py_NewRef(name);
    PyUnicode_InternInPlace(&field->name);
    field->initial = Py_NewRef(initial);
    field->required = (char)required;
    field->makes = (char)makes;
    unsigned char head[4] = {0, (unsigned char)((uint16_t)field->id >> 8), (unsigned char)field->id, 0};
    field->slot = slot_of(class, field->name);
    if (!fill_type(shape, &field->type, type, 0, 0)) {
        return 0;
    }
    head[0] = field->type.wire;
    memcpy(&field->head, head, 4);
    return 1;
}

/* Fills the table in which a field is found by its id. */
static int
fill_index(Shape *shape, const Field *fields)
{
    shape->lowest = 0;
    shape->highest = -1;
    for (Py_ssize_t place = 0; place < shape->count; place++) {
        shape->lowest = Py_MIN(shape->lowest, fields[place].id);
        shape->highest = Py_MAX(shape->highest, fields[place].id);
    }
    int size = shape->highest - shape->lowest + 1;
    shape->index = PyMem_Malloc((size + 1) * sizeof(short));
    if (!shape->index) {
        PyErr_NoMemory();
        return 0;
    }
    memset(shape->index, 0xFF, size * sizeof(short));
    for (Py_ssize_t place = 0; place < shape->count; place++) {
        short *entry = &shape->index[fields[place].id - shape->lowest];
        if (*entry >= 0) {
            PyErr_SetString(PyExc_ValueError, "two fields have one id");
            return 0;
        }
        *entry = (short)place;
    }
    return 1;
}

PyDoc_STRVAR(define_doc, "define(class, fields, order, is_union, makes, counted)\n--\n\n\
Says what the shape is, once. Encoding and decoding give None before.\n\n\
Fields are tuples (id, name, required, initial, makes, type), as they are encoded; order holds their places as they were\n\
declared. class None stands for any object when encoding and for a tuple when decoding.");

static PyObject *
define(Shape *self, PyObject *args)
{
    PyObject *class, *fields, *order;
    int is_union, makes, counted;
    if (!PyArg_ParseTuple(args, "OO!O!ppp", &class, &PyTuple_Type, &fields, &PyTuple_Type, &order, &is_union, &makes,
                          &counted)) {
        return NULL;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(fields);
    if (self->order || (class != Py_None && (!PyType_Check(class) || !((PyTypeObject *)class)->tp_new))
        || count > INT16_MAX || PyTuple_GET_SIZE(order) != count || (class == Py_None && makes)) {
        PyErr_SetString(PyExc_ValueError, "not a shape, or defined before");
        return NULL;
    }
    self->class = class == Py_None ? NULL : (PyTypeObject *)Py_NewRef(class);
    self->is_union = (char)is_union;
    self->makes = (char)makes;
    self->counted = (char)counted;
    self->order = PyMem_Calloc(count + 1, sizeof(Py_ssize_t));
    Field *made = PyMem_Calloc(count + 1, sizeof(Field));
    if (!made || !self->order) {
        PyErr_NoMemory();
    }
    while (made && self->order && self->count < count) {
        Py_ssize_t place = self->count++;
        Py_ssize_t from = PyLong_AsSsize_t(PyTuple_GET_ITEM(order, place));
        if (from < 0 || from >= count) {
            if (!PyErr_Occurred()) {
                PyErr_SetString(PyExc_ValueError, "no such field");
            }
            break;
        }
        self->order[place] = from;
        if (!fill_field(self, self->class, &made[place], PyTuple_GET_ITEM(fields, place))) {
            break;
        }
    }
    if (!PyErr_Occurred() && fill_index(self, made)) {
        self->fields = made;
        Py_RETURN_NONE;
    }
    if (made) {
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        self->fields = made;
        clear_fields(self);
        PyErr_Restore(type, value, traceback);
    }
    else {
        clear_fields(self);
    }
    return NULL;
}

/* What Python sees */

/* None, or what must not be swallowed. */
static PyObject *
refuse(void)
{
    if (PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_Exception)) {
            return NULL;
        }
        PyErr_Clear();
    }
    Py_RETURN_NONE;
}

static void
open_sink(Sink *s, PyObject *compact)
{
    s->begin = s->at = s->local;
    s->end = s->local + LOCAL;
    s->bytes = NULL;
    s->structs = 0;
    s->levels = -1;              /* the outermost struct is none */
    s->compact = compact == Py_True;
}

static PyObject *
close_sink(Sink *s, int done)
{
    PyObject *bytes = NULL;
    if (!done) {
        Py_CLEAR(s->bytes);
    }
    else if (s->bytes) {
        _PyBytes_Resize(&s->bytes, s->at - s->begin);
        bytes = s->bytes;
    }
    else {
        bytes = PyBytes_FromStringAndSize((const char *)s->begin, s->at - s->begin);
    }
    return bytes ? bytes : refuse();
}

PyDoc_STRVAR(encode_doc, "encode(it, compact)\n--\n\nThe bytes of an object of the shape; None if it does not fit.");

static PyObject *
encode(Shape *self, PyObject *const *args, Py_ssize_t count)
{
    Sink s;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "encode() takes an object and whether to be compact");
        return NULL;
    }
    open_sink(&s, args[1]);
    return close_sink(&s, write_struct(&s, self, args[0]));
}

PyDoc_STRVAR(encode_one_doc, "encode_one(place, value, compact)\n--\n\n\
The bytes of a struct of which only the field at a place is set, in the order of declaration; None if it does not fit.");

static PyObject *
encode_one(Shape *self, PyObject *const *args, Py_ssize_t count)
{
    Sink s;
    int last = 0;
    Py_ssize_t place = count == 3 ? PyLong_AsSsize_t(args[0]) : -1;
    if (place < 0 || place >= self->count || !self->fields) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError, "encode_one() takes a field's place, a value, and whether to be compact");
        }
        return NULL;
    }
    open_sink(&s, args[2]);
    s.structs = 1;
    s.levels = 0;
    int done = write_field(&s, &self->fields[self->order[place]], args[1], &last) && room(&s, 1);
    if (done) {
        put(&s, 0);
    }
    return close_sink(&s, done);
}

/* A bag with these values, in the order of declaration, of which None stands for what a field holds at first. */
static PyObject *
fill_bag(const Shape *shape, PyObject *class, PyObject *values)
{
    PyObject *bag = PyObject_CallNoArgs(class);
    for (Py_ssize_t place = 0; bag && place < shape->count; place++) {
        const Field *field = &shape->fields[shape->order[place]];
        PyObject *value = Py_NewRef(PyTuple_GET_ITEM(values, place));
        if (value == Py_None && field->makes) {
            Py_SETREF(value, PyObject_CallNoArgs(field->initial));
        }
        /* Other initial values are attributes of its class. */
        if (!value || (value != Py_None && PyObject_SetAttr(bag, field->name, value) < 0)) {
            Py_CLEAR(bag);
        }
        Py_XDECREF(value);
    }
    return bag;
}

PyDoc_STRVAR(pack_doc, "pack(bag, values)\n--\n\n\
Of the tuple of all arguments: an object of the class that is filled with them, and its bytes in binary. The class has\n\
what fields hold at first as attributes, but for what is made anew. None if they do not fit.");

static PyObject *
pack(Shape *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "pack() takes a class and a tuple of values");
        return NULL;
    }
    int whole = self->fields && PyTuple_CheckExact(args[1]) && PyTuple_GET_SIZE(args[1]) == self->count;
    PyObject *bag = whole ? fill_bag(self, args[0], args[1]) : NULL, *body = NULL;
    if (bag) {
        Sink s;
        open_sink(&s, Py_False);
        body = close_sink(&s, write_struct(&s, self, bag));
    }
    PyObject *both = body && body != Py_None ? PyTuple_Pack(2, bag, body) : NULL;
    Py_XDECREF(bag);
    Py_XDECREF(body);
    return both ? both : refuse();
}

/* Opens the body in the arguments (buffer, offset, compact, max_elements). */
static int
open_source(Shape *self, Source *s, PyObject *const *args, Py_ssize_t count)
{
    if (count != 4 || !PyBytes_CheckExact(args[0])) {
        return 0;
    }
    Py_ssize_t size = PyBytes_GET_SIZE(args[0]), offset = PyLong_AsSsize_t(args[1]);
    Py_ssize_t most = PyLong_AsSsize_t(args[3]);
    if (offset < 0 || offset >= size || most < 0) {
        return 0;
    }
    s->at = (const unsigned char *)PyBytes_AS_STRING(args[0]) + offset;
    s->end = s->at + (size - offset);
    s->counted = size > most || self->counted;
    s->left = Py_MIN(most, PY_SSIZE_T_MAX / ELEMENT) * (long long)ELEMENT;
    s->structs = s->levels = 0;
    s->compact = args[2] == Py_True;
    State *state = PyType_GetModuleState(Py_TYPE(self));
    s->keys = state ? state->keys : NULL;
    if (!state) {
        PyErr_Clear();           /* the interpreter ends */
    }
    return 1;
}

PyDoc_STRVAR(decode_doc, "decode(buffer, offset, compact, max_elements)\n--\n\n\
The object that fills the bytes from an offset to their end, or for a shape without class the tuple of its values; None\n\
if the bytes do not fit.");

static PyObject *
decode(Shape *self, PyObject *const *args, Py_ssize_t count)
{
    Source s;
    PyObject *made = open_source(self, &s, args, count) ? read_struct(self, &s) : NULL;
    if (made && s.at == s.end) {
        return made;
    }
    Py_XDECREF(made);
    return refuse();
}

PyDoc_STRVAR(result_doc, "result(buffer, offset, compact, max_elements)\n--\n\n\
Of a method's result that fills the bytes: raises the exception in any field but that with the id 0, or returns what is\n\
in this; None if there is nothing in it, or if the bytes do not fit.");

static PyObject *
result(Shape *self, PyObject *const *args, Py_ssize_t count)
{
    Source s;
    PyObject *made = !self->class && open_source(self, &s, args, count) ? read_struct(self, &s) : NULL;
    if (!made || s.at != s.end) {
        Py_XDECREF(made);
        return refuse();
    }
    PyObject *value = Py_None, *thrown = NULL;
    for (Py_ssize_t place = 0; place < PyTuple_GET_SIZE(made) && !thrown; place++) {
        PyObject *came = PyTuple_GET_ITEM(made, place);
        if (self->fields[self->order[place]].id == 0) {
            value = came;
        }
        else if (came != Py_None) {
            thrown = came;
        }
    }
    if (thrown && PyExceptionInstance_Check(thrown)) {
        PyErr_SetObject((PyObject *)Py_TYPE(thrown), thrown);
    }
    value = thrown ? NULL : Py_NewRef(value);
    Py_DECREF(made);
    return value || PyErr_Occurred() ? value : refuse();
}

static PyMethodDef methods[] = {
    {"define", (PyCFunction)define, METH_VARARGS, define_doc},
    {"encode", (PyCFunction)(void (*)(void))encode, METH_FASTCALL, encode_doc},
    {"encode_one", (PyCFunction)(void (*)(void))encode_one, METH_FASTCALL, encode_one_doc},
    {"pack", (PyCFunction)(void (*)(void))pack, METH_FASTCALL, pack_doc},
    {"decode", (PyCFunction)(void (*)(void))decode, METH_FASTCALL, decode_doc},
    {"result", (PyCFunction)(void (*)(void))result, METH_FASTCALL, result_doc},
    {NULL, NULL, 0, NULL},
};

static int
visit_type(const Type *type, visitproc visit, void *arg)
{
    Py_VISIT(type->of);
    for (int part = 0; part < 2; part++) {
        int stopped = type->inner[part] ? visit_type(type->inner[part], visit, arg) : 0;
        if (stopped) {
            return stopped;
        }
    }
    return 0;
}

static int
traverse(Shape *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->class);
    for (Py_ssize_t place = 0; self->fields && place < self->count; place++) {
        Py_VISIT(self->fields[place].initial);
        int stopped = visit_type(&self->fields[place].type, visit, arg);
        if (stopped) {
            return stopped;
        }
    }
    return 0;
}

static int
clear(Shape *self)
{
    clear_fields(self);
    return 0;
}

static void
dealloc(Shape *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, dealloc)  /* structs may hold each other a thousand deep */
    clear_fields(self);
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

static PyType_Slot shape_slots[] = {
    {Py_tp_doc, "A struct's fields, arguments or results, compiled."},
    {Py_tp_methods, methods},
    {Py_tp_traverse, traverse},
    {Py_tp_clear, clear},
    {Py_tp_dealloc, dealloc},
    {0, NULL},
};

static PyType_Spec shape_spec = {
    .name = "zkrpc.codec._compiled.Shape",
    .basicsize = sizeof(Shape),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = shape_slots,
};

static int
fill_module(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &shape_spec, NULL);
    int failed = !type || PyModule_AddObjectRef(module, "Shape", type) < 0;
    Py_XDECREF(type);
    return failed ? -1 : PyModule_AddStringConstant(module, "BUILT_FROM", BUILT_FROM);
}

static int
clear_module(PyObject *module)
{
    State *state = PyModule_GetState(module);
    for (int place = 0; state && place < KEYS; place++) {
        Py_CLEAR(state->keys[place]);
    }
    return 0;
}

static void
free_module(void *module)
{
    clear_module(module);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, fill_module},
    {0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "zkrpc.codec._compiled",
    .m_doc = "The compiled part of zkrpc.codec.",
    .m_size = sizeof(State),
    .m_slots = slots,
    .m_clear = clear_module,
    .m_free = free_module,
};

PyMODINIT_FUNC
PyInit__compiled(void)
{
    return PyModuleDef_Init(&definition);
}
