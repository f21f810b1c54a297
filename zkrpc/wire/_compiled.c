/* The hot path of the wire machines. zkrpc/wire/taking.py and zkrpc/wire/cores.py have the same in Python, and say what
   it means.

   It only takes what is as usual. Whatever is new, large, incomplete or wrong is left where it is, and the Python path
   decides about it; so nothing here judges a peer, and exceptions are a lack of memory or a caller's mistake.

   Calls into Python can do anything, also to these objects: they happen where a message is given out, and wherever
   memory is asked for, as that may run the garbage collector. So what is used afterwards is owned, and the state of an
   object is looked at again for each message. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <structmember.h>

#ifndef BUILT_FROM
#error "setup.py defines what this is built from"
#endif

enum {
    LENGTH = 4,                  /* bytes of a frame's length */
    HEADER_LEAD = 12,            /* where a shape begins in a THeader frame: behind length, magic, flags and seqid */
    PLAIN_LEAD = 4,              /* and in a plain one */
    SEQID = 4,
    LONGEST_SHAPE = 512,         /* as in message.py */
    TRACEPARENT = 55             /* characters of its text */
};

static const uint32_t plain_magic = 0x0FFF0000;  /* and no flag */
static const char traced[] = "\x0btraceparent\x37";
enum { TRACED = sizeof(traced) - 1 };

/* What this module is told of the package; and what it has by itself. */
typedef struct {
    PyTypeObject *request, *reply;
    PyObject *header_binary, *framed_binary;
    PyObject *kind_reply;
    PyObject *traceparent;
    PyObject *templates;         /* of calls, by name and budget */
    PyTypeObject *request_taker, *reply_taker;
    PyObject *kind, *headers, *until, *now, *oneway;
} State;

static struct PyModuleDef definition;

/* The state that belongs to a class of this module, or to one derived from it. */
static State *
state_of(PyTypeObject *type)
{
    PyObject *module = PyType_GetModuleByDef(type, &definition);
    State *state = module ? PyModule_GetState(module) : NULL;
    if (module && !(state->request && state->reply && state->header_binary && state->framed_binary && state->kind_reply
                    && state->traceparent)) {
        PyErr_SetString(PyExc_RuntimeError, "describe() has not told all that is needed");
        state = NULL;
    }
    return state;
}

/* What all objects here begin with. */
typedef struct {
    PyObject_HEAD
    State *state;
} Base;

static PyObject *
make(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    State *state = state_of(type);
    Base *made = state ? (Base *)type->tp_alloc(type, 0) : NULL;
    if (made) {
        made->state = state;
    }
    return (PyObject *)made;
}

static inline uint32_t
number(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void
put_number(char *at, uint32_t number)
{
    for (int place = 0; place < 4; place++) {
        at[place] = (char)(number >> (24 - 8 * place));
    }
}

/* Gives something to a list or a callable; methods of lists are called without a detour. */
static int
give(PyObject *add, PyObject *it)
{
    PyObject *done;
    if (PyList_CheckExact(add)) {
        return PyList_Append(add, it);
    }
    if (PyCFunction_CheckExact(add) && PyCFunction_GET_FLAGS(add) == METH_O) {
        done = PyCFunction_GET_FUNCTION(add)(PyCFunction_GET_SELF(add), it);
    }
    else {
        done = PyObject_CallOneArg(add, it);
    }
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* Shapes */

/* The shape that was found last, and its bytes: as a rule the next one is the same. */
typedef struct {
    PyObject *lead, *shape;
} Last;

static void
clear_last(Last *last)
{
    Py_CLEAR(last->lead);
    Py_CLEAR(last->shape);
}

/* A message that may be cut out of the bytes. */
typedef struct {
    PyObject *shape;             /* owned */
    PyObject *parent;            /* the text of its traceparent, owned, if the shape is one without */
    Py_ssize_t body;             /* where the struct starts */
    Py_ssize_t stop;             /* where the frame ends */
    int seqid, header_seqid;
} Found;

/* How long the shape is that begins so many bytes behind start, if it is one; -1 if too little is there, or it is too
   long. A wrong guess does no harm, as a shape is only found if all its bytes are the same. */
static Py_ssize_t
size_of_shape(const unsigned char *bytes, Py_ssize_t start, Py_ssize_t end, int lead_at)
{
    Py_ssize_t size, name_at = start + 11;
    if (lead_at == PLAIN_LEAD) {
        if (name_at >= end) {
            return -1;
        }
        size = 8 + bytes[name_at];
    }
    else {
        if (start + 13 >= end) {
            return -1;
        }
        size = 10 + 4 * (bytes[start + 12] << 8 | bytes[start + 13]);
        name_at += size;
        if (name_at >= end) {
            return -1;
        }
        size += bytes[name_at];
    }
    return size <= LONGEST_SHAPE && start + lead_at + size + SEQID <= end ? size : -1;
}

/* The shape by its bytes without the text of a traceparent; NULL, without an exception, if there is none of it. */
static PyObject *
find_traced(PyObject *known, const char *lead, Py_ssize_t size, PyObject **parent)
{
    for (Py_ssize_t at = TRACED; at + TRACEPARENT <= size; at++) {
        if (memcmp(lead + at - TRACED, traced, TRACED)) {
            continue;
        }
        PyObject *key = PyBytes_FromStringAndSize(NULL, size - TRACEPARENT), *shape = NULL;
        if (key) {
            memcpy(PyBytes_AS_STRING(key), lead, at);
            memcpy(PyBytes_AS_STRING(key) + at, lead + at + TRACEPARENT, size - at - TRACEPARENT);
            shape = Py_XNewRef(PyDict_GetItemWithError(known, key));
            Py_DECREF(key);
        }
        if (shape) {
            *parent = PyUnicode_DecodeUTF8(lead + at, TRACEPARENT, "surrogateescape");
            if (!*parent) {
                Py_CLEAR(shape);
            }
        }
        return shape;
    }
    return NULL;
}

/* Finds the shape of the frame that starts here, and that the frame is whole and not longer than most. Returns 0 if it
   is none of these, perhaps with an exception. */
static int
find(PyObject *known, PyObject *known_traced, Last *last, PyObject *data, Py_ssize_t start, int lead_at, Py_ssize_t most,
     Found *found)
{
    const unsigned char *bytes = (const unsigned char *)PyBytes_AS_STRING(data);
    Py_ssize_t end = PyBytes_GET_SIZE(data), size = last->lead ? PyBytes_GET_SIZE(last->lead) : 0;
    const char *lead = (const char *)bytes + start + lead_at;
    found->parent = NULL;
    if (size && start + lead_at + size + SEQID <= end && !memcmp(lead, PyBytes_AS_STRING(last->lead), size)) {
        found->shape = Py_NewRef(last->shape);
    }
    else {
        size = size_of_shape(bytes, start, end, lead_at);
        PyObject *key = size < 0 ? NULL : PyBytes_FromStringAndSize(lead, size);
        found->shape = key ? Py_XNewRef(PyDict_GetItemWithError(known, key)) : NULL;
        if (found->shape) {
            Py_XSETREF(last->shape, Py_NewRef(found->shape));
            Py_XSETREF(last->lead, key);
        }
        else {
            Py_XDECREF(key);
            if (size >= 0 && known_traced && !PyErr_Occurred()) {
                found->shape = find_traced(known_traced, lead, size, &found->parent);
            }
            if (!found->shape) {
                return 0;
            }
        }
    }
    Py_ssize_t length = number(bytes + start);
    found->body = start + lead_at + size + SEQID;
    found->stop = start + LENGTH + length;
    found->seqid = (int32_t)number(bytes + found->body - SEQID);
    found->header_seqid = lead_at == HEADER_LEAD ? (int32_t)number(bytes + start + 8) : 0;
    if (found->stop > end || found->body >= found->stop || length > most
        || (lead_at == HEADER_LEAD && number(bytes + start + LENGTH) != plain_magic)) {
        Py_CLEAR(found->shape);
        Py_CLEAR(found->parent);
        return 0;
    }
    return 1;
}

/* The frame without its length, and where the struct starts in it. A read that is one frame, as long ones are, is not
   copied to lose its length. */
static int
cut(PyObject *data, Py_ssize_t start, const Found *found, PyObject **frame, PyObject **offset)
{
    if (start == 0 && found->stop == PyBytes_GET_SIZE(data)) {
        *frame = Py_NewRef(data);
        *offset = PyLong_FromSsize_t(found->body);
    }
    else {
        const char *from = PyBytes_AS_STRING(data) + start + LENGTH;
        *frame = PyBytes_FromStringAndSize(from, found->stop - start - LENGTH);
        *offset = PyLong_FromSsize_t(found->body - start - LENGTH);
    }
    return *frame && *offset;
}

/* Fills a fresh named tuple with owned values, any of which may be NULL for a lack of memory. */
static PyObject *
make_tuple(PyTypeObject *type, PyObject **values, Py_ssize_t count)
{
    PyObject *made = type->tp_alloc(type, count);
    for (Py_ssize_t place = 0; place < count; place++) {
        if (made && !values[place]) {
            Py_CLEAR(made);
        }
        if (made) {
            PyTuple_SET_ITEM(made, place, values[place]);
        }
        else {
            Py_XDECREF(values[place]);
        }
    }
    return made;
}

/* Requests */

enum expected { HEADER, PLAIN, NOTHING };

typedef struct {
    PyObject_HEAD
    State *state;
    PyObject *requests, *plain_requests, *traced_requests;
    Last header, plain;
    Py_ssize_t most;
    enum expected expected;
} RequestTaker;

static int
init_requests(RequestTaker *self, PyObject *args, PyObject *kwargs)
{
    PyObject *shapes;
    Py_ssize_t most;
    static char *names[] = {"shapes", "most", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!n", names, &PyTuple_Type, &shapes, &most)) {
        return -1;
    }
    PyObject *requests, *plain_requests, *replies, *blocks, *traced_requests;
    if (!PyArg_ParseTuple(shapes, "O!O!O!O!O!", &PyDict_Type, &requests, &PyDict_Type, &plain_requests, &PyDict_Type,
                          &replies, &PyDict_Type, &blocks, &PyDict_Type, &traced_requests)) {
        return -1;
    }
    Py_XSETREF(self->requests, Py_NewRef(requests));
    Py_XSETREF(self->plain_requests, Py_NewRef(plain_requests));
    Py_XSETREF(self->traced_requests, Py_NewRef(traced_requests));
    clear_last(&self->header);
    clear_last(&self->plain);
    self->most = most;
    self->expected = HEADER;
    return 0;
}

PyDoc_STRVAR(expect_doc, "expect(plain)\n--\n\n\
From here on frames are plain, or THeader's, or are all left if it is None.");

static PyObject *
expect(RequestTaker *self, PyObject *plain)
{
    self->expected = plain == Py_None ? NOTHING : plain == Py_True ? PLAIN : HEADER;
    Py_RETURN_NONE;
}

/* The headers of a request: those of its shape, with its own traceparent if it has one. */
static PyObject *
headers_of(const State *state, const Found *found)
{
    PyObject *headers = PyTuple_GET_ITEM(found->shape, 2);
    if (!found->parent) {
        return Py_NewRef(headers);
    }
    PyObject *all = PyDict_New(), *shown = NULL;
    if (all && PyDict_Update(all, headers) == 0 && PyDict_SetItem(all, state->traceparent, found->parent) == 0) {
        shown = PyDictProxy_New(all);
    }
    Py_XDECREF(all);
    return shown;
}

/* Makes the request that was found. */
static PyObject *
make_request(RequestTaker *self, PyObject *data, Py_ssize_t start, const Found *found, PyObject *now, int is_plain)
{
    PyObject *frame, *offset, *shape = found->shape;
    cut(data, start, found, &frame, &offset);
    PyObject *values[] = {
        Py_NewRef(PyTuple_GET_ITEM(shape, 0)),
        PyLong_FromLong(found->seqid),
        Py_NewRef(PyTuple_GET_ITEM(shape, 1)),
        headers_of(self->state, found),
        frame,
        offset,
        Py_NewRef(is_plain ? self->state->framed_binary : self->state->header_binary),
        Py_NewRef(now),
        PyLong_FromLong(found->header_seqid),
        PyLong_FromLong(0),
        Py_NewRef(PyTuple_GET_ITEM(shape, 3)),
    };
    return make_tuple(self->state->request, values, 11);
}

/* Puts a request into the table of those in flight, by its id; 0 if this is there already, -1 with an exception. */
static int
activate(PyObject *active, PyObject *request)
{
    PyObject *there = PyDict_SetDefault(active, PyTuple_GET_ITEM(request, 1), request);
    return there ? there == request : -1;
}

/* Takes what take() does. Returns where the first other frame starts; -1 with an exception. */
static Py_ssize_t
take_requests(RequestTaker *self, PyObject *data, Py_ssize_t start, PyObject *now, PyObject *active, Py_ssize_t room,
              PyObject *add)
{
    Found found;
    while (start < PyBytes_GET_SIZE(data) && PyDict_GET_SIZE(active) < room && self->expected != NOTHING
           && self->requests) {
        int is_plain = self->expected == PLAIN, known;
        known = is_plain
            ? find(self->plain_requests, NULL, &self->plain, data, start, PLAIN_LEAD, self->most, &found)
            : find(self->requests, self->traced_requests, &self->header, data, start, HEADER_LEAD, self->most, &found);
        if (!known) {
            return PyErr_Occurred() ? -1 : start;
        }
        PyObject *request = make_request(self, data, start, &found, now, is_plain);
        Py_DECREF(found.shape);
        Py_XDECREF(found.parent);
        int taken = request ? activate(active, request) : -1;
        if (taken > 0 && give(add, request) < 0) {
            taken = -1;
        }
        Py_XDECREF(request);
        if (taken <= 0) {
            return taken ? -1 : start;
        }
        start = found.stop;
    }
    return start;
}

PyDoc_STRVAR(take_requests_doc, "take(data, start, now, active, room, add)\n--\n\n\
Takes the frames from start on that have known shapes; returns where the first other one starts.");

static PyObject *
call_take_requests(RequestTaker *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 6 || !self->requests || !PyBytes_CheckExact(args[0]) || !PyDict_CheckExact(args[3])) {
        PyErr_SetString(PyExc_TypeError, "take() takes bytes, a start, a time, a dict, a number and a callable");
        return NULL;
    }
    Py_ssize_t start = PyLong_AsSsize_t(args[1]), room = PyLong_AsSsize_t(args[4]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    start = start < 0 ? -1 : take_requests(self, args[0], start, args[2], args[3], room, args[5]);
    if (start < 0 && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "a start before the bytes");
    }
    return start < 0 ? NULL : PyLong_FromSsize_t(start);
}

static int
traverse_requests(RequestTaker *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->requests);
    Py_VISIT(self->plain_requests);
    Py_VISIT(self->traced_requests);
    Py_VISIT(self->header.shape);
    Py_VISIT(self->plain.shape);
    return 0;
}

static int
clear_requests(RequestTaker *self)
{
    Py_CLEAR(self->requests);
    Py_CLEAR(self->plain_requests);
    Py_CLEAR(self->traced_requests);
    clear_last(&self->header);
    clear_last(&self->plain);
    return 0;
}

static PyMethodDef methods_of_requests[] = {
    {"take", (PyCFunction)(void (*)(void))call_take_requests, METH_FASTCALL, take_requests_doc},
    {"expect", (PyCFunction)expect, METH_O, expect_doc},
    {NULL, NULL, 0, NULL},
};

/* Replies */

typedef struct {
    PyObject_HEAD
    State *state;
    PyObject *replies;
    Last last;
    Py_ssize_t most;
} ReplyTaker;

static int
init_replies(ReplyTaker *self, PyObject *args, PyObject *kwargs)
{
    PyObject *shapes;
    Py_ssize_t most;
    static char *names[] = {"shapes", "most", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!n", names, &PyTuple_Type, &shapes, &most)) {
        return -1;
    }
    PyObject *replies = PyTuple_GET_SIZE(shapes) > 2 ? PyTuple_GET_ITEM(shapes, 2) : NULL;
    if (!replies || !PyDict_CheckExact(replies)) {
        PyErr_SetString(PyExc_TypeError, "these are no shapes");
        return -1;
    }
    Py_XSETREF(self->replies, Py_NewRef(replies));
    clear_last(&self->last);
    self->most = most;
    return 0;
}

/* Whether what was found answers the call that is pending under this id: 1 or 0, -1 with an exception. The call is
   owned then. */
static int
answers(const ReplyTaker *self, PyObject *pending, PyObject *call_id, const Found *found, long long flushed,
        PyObject **call)
{
    *call = PyDict_GetItemWithError(pending, call_id);
    if (!*call) {
        return PyErr_Occurred() ? -1 : 0;
    }
    if (!PyTuple_CheckExact(*call) || PyTuple_GET_SIZE(*call) != 5) {
        return 0;
    }
    long long serial = PyLong_AsLongLong(PyTuple_GET_ITEM(*call, 2));
    if (serial > flushed || (serial == -1 && PyErr_Occurred())) {
        return PyErr_Occurred() ? -1 : 0;
    }
    PyObject *name = PyTuple_GET_ITEM(found->shape, 2), *called = PyTuple_GET_ITEM(*call, 4);
    if (name != called && PyTuple_GET_ITEM(found->shape, 0) == self->state->kind_reply) {
        Py_ssize_t size = PyBytes_GET_SIZE(name);
        if (!PyBytes_CheckExact(called) || PyBytes_GET_SIZE(called) != size
            || memcmp(PyBytes_AS_STRING(called), PyBytes_AS_STRING(name), size)) {
            return 0;
        }
    }
    Py_INCREF(*call);
    return 1;
}

/* The token of a call, with the reply that was found. */
static PyObject *
make_reply(const ReplyTaker *self, PyObject *data, Py_ssize_t start, const Found *found, PyObject *token)
{
    PyObject *frame, *offset;
    cut(data, start, found, &frame, &offset);
    PyObject *values[] = {
        Py_NewRef(PyTuple_GET_ITEM(found->shape, 0)),
        Py_NewRef(PyTuple_GET_ITEM(found->shape, 1)),
        frame,
        offset,
        Py_NewRef(self->state->header_binary),
    };
    PyObject *reply = make_tuple(self->state->reply, values, 5);
    PyObject *pair = reply ? PyTuple_Pack(2, token, reply) : NULL;
    Py_XDECREF(reply);
    return pair;
}

/* Takes what take() does. Returns where the first other frame starts; -1 with an exception. */
static Py_ssize_t
take_replies(ReplyTaker *self, PyObject *data, Py_ssize_t start, PyObject *pending, long long flushed, PyObject *add)
{
    Found found;
    PyObject *call;
    while (start < PyBytes_GET_SIZE(data) && self->replies) {
        if (!find(self->replies, NULL, &self->last, data, start, HEADER_LEAD, self->most, &found)) {
            return PyErr_Occurred() ? -1 : start;
        }
        PyObject *call_id = PyLong_FromLong(found.seqid), *pair = NULL;
        int taken = call_id ? answers(self, pending, call_id, &found, flushed, &call) : -1;
        if (taken > 0) {
            pair = make_reply(self, data, start, &found, PyTuple_GET_ITEM(call, 0));
            if (!pair || PyDict_DelItem(pending, call_id) < 0 || give(add, pair) < 0) {
                taken = -1;
            }
            Py_DECREF(call);
        }
        Py_XDECREF(pair);
        Py_XDECREF(call_id);
        Py_DECREF(found.shape);
        if (taken <= 0) {
            return taken ? -1 : start;
        }
        start = found.stop;
    }
    return start;
}

PyDoc_STRVAR(take_replies_doc, "take(data, start, pending, flushed, add)\n--\n\n\
Takes the frames from start on that have known shapes and answer a pending call that has left; returns where the first\n\
other one starts.");

static PyObject *
call_take_replies(ReplyTaker *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 5 || !self->replies || !PyBytes_CheckExact(args[0]) || !PyDict_CheckExact(args[2])) {
        PyErr_SetString(PyExc_TypeError, "take() takes bytes, a start, a dict, a number and a callable");
        return NULL;
    }
    Py_ssize_t start = PyLong_AsSsize_t(args[1]);
    long long flushed = PyLong_AsLongLong(args[3]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    start = start < 0 ? -1 : take_replies(self, args[0], start, args[2], flushed, args[4]);
    if (start < 0 && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "a start before the bytes");
    }
    return start < 0 ? NULL : PyLong_FromSsize_t(start);
}

static int
traverse_replies(ReplyTaker *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->replies);
    Py_VISIT(self->last.shape);
    return 0;
}

static int
clear_replies(ReplyTaker *self)
{
    Py_CLEAR(self->replies);
    clear_last(&self->last);
    return 0;
}

static PyMethodDef methods_of_replies[] = {
    {"take", (PyCFunction)(void (*)(void))call_take_replies, METH_FASTCALL, take_replies_doc},
    {NULL, NULL, 0, NULL},
};

/* Cores */

/* Calls a method with the arguments that another was called with. */
static PyObject *
pass_on(PyObject *self, const char *method, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *all[12];
    Py_ssize_t all_of_them = count + (names ? PyTuple_GET_SIZE(names) : 0);
    PyObject *name = all_of_them < 12 ? PyUnicode_InternFromString(method) : NULL, *done = NULL;
    if (name) {
        all[0] = self;
        for (Py_ssize_t place = 0; place < all_of_them; place++) {
            all[place + 1] = args[place];
        }
        done = PyObject_VectorcallMethod(name, all, count + 1, names);
        Py_DECREF(name);
    }
    else if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_TypeError, "too many arguments");
    }
    return done;
}

/* The argument of an interned name, NULL if it is not among them. */
static PyObject *
named(PyObject *name, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    for (Py_ssize_t place = 0; names && place < PyTuple_GET_SIZE(names); place++) {
        if (PyTuple_GET_ITEM(names, place) == name) {
            return args[count + place];
        }
    }
    return NULL;
}

static inline int
is_empty(PyObject *headers)
{
    return !headers || headers == Py_None || (PyDict_CheckExact(headers) && !PyDict_GET_SIZE(headers));
}

/* A template: its shape, and how long a frame is beside its body. 0 if it is none. */
static int
open_template(PyObject *template, PyObject **shape, Py_ssize_t *base)
{
    if (!template || !PyTuple_CheckExact(template) || PyTuple_GET_SIZE(template) != 3) {
        return 0;
    }
    *shape = PyTuple_GET_ITEM(template, 1);
    *base = PyLong_AsSsize_t(PyTuple_GET_ITEM(template, 2));
    return *base >= 0 && PyBytes_CheckExact(*shape);
}

/* What precedes a body: length, magic and header_seqid if it is THeader's, the shape, and the seqid. */
static PyObject *
write_head(Py_ssize_t length, int has_header, uint32_t header_seqid, PyObject *shape, uint32_t seqid)
{
    Py_ssize_t lead = has_header ? HEADER_LEAD : PLAIN_LEAD, size = PyBytes_GET_SIZE(shape);
    PyObject *head = PyBytes_FromStringAndSize(NULL, lead + size + SEQID);
    if (head) {
        char *at = PyBytes_AS_STRING(head);
        put_number(at, (uint32_t)length);
        if (has_header) {
            put_number(at + 4, plain_magic);
            put_number(at + 8, header_seqid);
        }
        memcpy(at + lead, PyBytes_AS_STRING(shape), size);
        put_number(at + lead + size, seqid);
    }
    return head;
}

/* Appends both or, with an exception, none; the first is no longer owned by the caller. */
static int
append_two(PyObject *out, PyObject *head, PyObject *body)
{
    Py_ssize_t before = PyList_GET_SIZE(out);
    int failed = !head || PyList_Append(out, head) < 0;
    Py_XDECREF(head);
    if (!failed && PyList_Append(out, body) < 0) {
        PyList_SetSlice(out, before, before + 1, NULL);
        failed = 1;
    }
    return failed ? -1 : 0;
}

/* Empties a list of bytes; returns them as one. Each is copied once, and not at all if it is alone. Nothing here runs
   Python. */
static PyObject *
join(PyObject *out)
{
    Py_ssize_t size = 0, count = PyList_GET_SIZE(out);
    for (Py_ssize_t place = 0; place < count; place++) {
        PyObject *part = PyList_GET_ITEM(out, place);
        if (!PyBytes_CheckExact(part) || size > PY_SSIZE_T_MAX - PyBytes_GET_SIZE(part)) {
            PyErr_SetString(PyExc_TypeError, "what is to be sent is not bytes");
            return NULL;
        }
        size += PyBytes_GET_SIZE(part);
    }
    PyObject *joined = count == 1 ? Py_NewRef(PyList_GET_ITEM(out, 0)) : PyBytes_FromStringAndSize(NULL, size);
    if (!joined) {
        return NULL;
    }
    char *at = PyBytes_AS_STRING(joined);
    for (Py_ssize_t place = 0; place < count && count > 1; place++) {
        PyObject *part = PyList_GET_ITEM(out, place);
        memcpy(at, PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part));
        at += PyBytes_GET_SIZE(part);
    }
    if (PyList_SetSlice(out, 0, PyList_GET_SIZE(out), NULL) < 0) {
        Py_CLEAR(joined);
    }
    return joined;
}

/* The server's core */

typedef struct {
    PyObject_HEAD
    State *state;
    PyObject *active, *known, *out, *ready, *last_heard_at;
    Py_ssize_t max_frame, room, wanted;
    char is_whole, is_simple;
} ServerCore;

static int
init_server(ServerCore *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "", names)) {
        return -1;
    }
    self->is_whole = self->is_simple = 0;
    self->wanted = 0;
    Py_XSETREF(self->last_heard_at, PyFloat_FromDouble(0.0));
    return self->last_heard_at ? 0 : -1;
}

PyDoc_STRVAR(server_receive_doc, "receive_data(data, now)\n--\n\n\
Takes bytes from the socket. Call ``next_request`` until it returns None, and ``data_to_send``, afterwards.");

static PyObject *
server_receive(ServerCore *self, PyObject *const *args, Py_ssize_t count)
{
    Py_ssize_t start = 0;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "receive_data() takes bytes and a time");
        return NULL;
    }
    if (self->is_whole && PyBytes_CheckExact(args[0]) && self->active && PyDict_CheckExact(self->active) && self->ready
        && PyList_CheckExact(self->ready) && self->known && PyObject_TypeCheck(self->known, self->state->request_taker)) {
        PyObject *known = Py_NewRef(self->known), *active = Py_NewRef(self->active);
        PyObject *add = Py_NewRef(self->ready);
        Py_XSETREF(self->last_heard_at, Py_NewRef(args[1]));
        start = take_requests((RequestTaker *)known, args[0], 0, args[1], active, self->room, add);
        Py_DECREF(add);
        Py_DECREF(active);
        Py_DECREF(known);
        if (start < 0) {
            return NULL;
        }
        if (start == PyBytes_GET_SIZE(args[0])) {
            self->wanted = start == self->wanted ? start : 0;
            Py_RETURN_NONE;
        }
    }
    PyObject *from = PyLong_FromSsize_t(start);
    PyObject *rest[] = {args[0], args[1], from};
    PyObject *done = from ? pass_on((PyObject *)self, "_receive", rest, 3, NULL) : NULL;
    Py_XDECREF(from);
    return done;
}

PyDoc_STRVAR(next_request_doc, "next_request()\n--\n\n\
The next request to run, or None. Requests that came whole before a failure are still given out.\n\n\
Call it again after ``send_reply`` and ``finish``, too: they release a held request of the same seqid.");

static PyObject *
next_request(ServerCore *self, PyObject *Py_UNUSED(ignored))
{
    Py_ssize_t size = self->ready ? PyObject_Size(self->ready) : 0;
    if (size <= 0) {
        return size ? NULL : Py_NewRef(Py_None);
    }
    PyObject *first = PySequence_GetItem(self->ready, 0);
    if (first && PySequence_DelItem(self->ready, 0) < 0) {
        Py_CLEAR(first);
    }
    return first;
}

/* Answers if all is as usual: 1, or 0, or -1 with an exception. */
static int
answer(ServerCore *self, PyObject *request, PyObject *body)
{
    const State *state = self->state;
    PyObject *shape, *template = PyTuple_GET_ITEM(request, 10), *dialect = PyTuple_GET_ITEM(request, 6);
    PyObject *id = PyTuple_GET_ITEM(request, 1), *active = self->active, *out = self->out;
    Py_ssize_t base;
    int has_header = dialect == state->header_binary;
    if (!open_template(template, &shape, &base) || !active || !PyDict_CheckExact(active) || !out
        || !PyList_CheckExact(out) || !(has_header || dialect == state->framed_binary)) {
        return PyErr_Occurred() ? -1 : 0;
    }
    Py_ssize_t size = PyBytes_GET_SIZE(body);
    if (base > self->max_frame || size > self->max_frame - base) {
        return 0;
    }
    if (PyDict_GetItemWithError(active, id) != request) {
        return PyErr_Occurred() ? -1 : 0;
    }
    long seqid = PyLong_AsLong(id), header_seqid = PyLong_AsLong(PyTuple_GET_ITEM(request, 8));
    if (PyErr_Occurred()) {
        return -1;
    }
    PyObject *head = write_head(base + size, has_header, (uint32_t)header_seqid, shape, (uint32_t)seqid);
    return append_two(out, head, body) < 0 || PyDict_DelItem(active, id) < 0 ? -1 : 1;
}

PyDoc_STRVAR(send_reply_doc, "send_reply(request, body, *, kind=MessageKind.REPLY, headers=None)\n--\n\n\
Answers a CALL, with an encoded result struct or, if ``kind`` is EXCEPTION, a TApplicationException.\n\n\
Raises LocalProtocolError if the request was answered before, expects no answer, or if the answer is over a limit; in\n\
the last case another answer may still be sent. On a closed connection the answer is dropped.");

static PyObject *
send_reply(ServerCore *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *kind = named(self->state->kind, args, count, names), *headers = named(self->state->headers, args, count, names);
    Py_ssize_t known = (kind != NULL) + (headers != NULL);
    if (self->is_simple && count == 2 && (names ? PyTuple_GET_SIZE(names) : 0) == known
        && Py_TYPE(args[0]) == self->state->request && PyBytes_CheckExact(args[1])
        && (!kind || kind == self->state->kind_reply) && is_empty(headers)) {
        int answered = answer(self, args[0], args[1]);
        if (answered) {
            return answered > 0 ? Py_NewRef(Py_None) : NULL;
        }
    }
    return pass_on((PyObject *)self, "_send_reply", args, count, names);
}

PyDoc_STRVAR(server_data_doc, "data_to_send()\n--\n\n\
Everything written since the last time, for the socket.");

static PyObject *
server_data(ServerCore *self, PyObject *Py_UNUSED(ignored))
{
    if (!self->out || !PyList_CheckExact(self->out)) {
        PyErr_SetString(PyExc_AttributeError, "_out");
        return NULL;
    }
    if (!PyList_GET_SIZE(self->out)) {
        return PyBytes_FromStringAndSize(NULL, 0);
    }
    return self->is_simple ? join(self->out) : pass_on((PyObject *)self, "_data_to_send", NULL, 0, NULL);
}

static int
traverse_server(ServerCore *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->active);
    Py_VISIT(self->known);
    Py_VISIT(self->out);
    Py_VISIT(self->ready);
    Py_VISIT(self->last_heard_at);
    return 0;
}

static int
clear_server(ServerCore *self)
{
    self->is_whole = self->is_simple = 0;
    Py_CLEAR(self->active);
    Py_CLEAR(self->known);
    Py_CLEAR(self->out);
    Py_CLEAR(self->ready);
    Py_CLEAR(self->last_heard_at);
    return 0;
}

static PyMethodDef methods_of_server[] = {
    {"receive_data", (PyCFunction)(void (*)(void))server_receive, METH_FASTCALL, server_receive_doc},
    {"next_request", (PyCFunction)next_request, METH_NOARGS, next_request_doc},
    {"send_reply", (PyCFunction)(void (*)(void))send_reply, METH_FASTCALL | METH_KEYWORDS, send_reply_doc},
    {"data_to_send", (PyCFunction)server_data, METH_NOARGS, server_data_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members_of_server[] = {
    {"_active", T_OBJECT_EX, offsetof(ServerCore, active), 0, NULL},
    {"_known", T_OBJECT_EX, offsetof(ServerCore, known), 0, NULL},
    {"_out", T_OBJECT_EX, offsetof(ServerCore, out), 0, NULL},
    {"ready", T_OBJECT_EX, offsetof(ServerCore, ready), 0, NULL},
    {"last_heard_at", T_OBJECT_EX, offsetof(ServerCore, last_heard_at), 0, NULL},
    {"_max_frame", T_PYSSIZET, offsetof(ServerCore, max_frame), 0, NULL},
    {"_room", T_PYSSIZET, offsetof(ServerCore, room), 0, NULL},
    {"wanted", T_PYSSIZET, offsetof(ServerCore, wanted), 0, NULL},
    {"_is_whole", T_BOOL, offsetof(ServerCore, is_whole), 0, NULL},
    {"_is_simple", T_BOOL, offsetof(ServerCore, is_simple), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

/* The client's core */

typedef struct {
    PyObject_HEAD
    State *state;
    PyObject *pending, *known, *out, *backlog, *accepts, *last_heard_at;
    PyObject *name, *template;   /* of the last call, and its budget: as a rule the next one is the same */
    double budget;
    double latest;
    long long serial, flushed, before;
    Py_ssize_t max_frame, wanted;
    char is_whole, has_templates, pong_waits;
} ClientCore;

static int
init_client(ClientCore *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "", names)) {
        return -1;
    }
    self->is_whole = self->has_templates = self->pong_waits = 0;
    self->serial = self->flushed = self->before = 0;
    self->latest = 0.0;
    self->wanted = 0;
    Py_XSETREF(self->accepts, Py_NewRef(Py_False));
    Py_XSETREF(self->last_heard_at, PyFloat_FromDouble(0.0));
    return self->last_heard_at ? 0 : -1;
}

/* The template of a call; borrowed from the core. NULL, perhaps with an exception, if it is not known. */
static PyObject *
template_of(ClientCore *self, PyObject *name, double left)
{
    double budget = floor(left * 1000);
    if (name == self->name && budget == self->budget) {
        return self->template;
    }
    PyObject *of_name = self->state->templates ? PyDict_GetItemWithError(self->state->templates, name) : NULL;
    PyObject *key = of_name && PyDict_CheckExact(of_name) ? PyFloat_FromDouble(budget) : NULL;
    PyObject *template = key ? PyDict_GetItemWithError(of_name, key) : NULL;
    Py_XDECREF(key);
    if (template) {
        Py_XSETREF(self->template, Py_NewRef(template));
        Py_XSETREF(self->name, Py_NewRef(name));
        self->budget = budget;
    }
    return template;
}

/* What a call looks like whose answer is pending. */
static PyObject *
make_pending(PyObject *token, PyObject *deadline_at, long long serial, Py_ssize_t place, PyObject *name)
{
    PyObject *number = PyLong_FromLongLong(serial), *at = PyLong_FromSsize_t(place), *call = NULL;
    if (number && at) {
        call = PyTuple_Pack(5, token, deadline_at, number, at, name);
    }
    Py_XDECREF(number);
    Py_XDECREF(at);
    return call;
}

/* Sends a call if all is as usual; NULL, perhaps with an exception, if not. */
static PyObject *
call(ClientCore *self, PyObject *name, PyObject *body, PyObject *token, PyObject *deadline_at, PyObject *now)
{
    PyObject *pending = self->pending, *out = self->out, *shape;
    Py_ssize_t base, size = PyBytes_GET_SIZE(body);
    double until = PyFloat_AS_DOUBLE(deadline_at);
    PyObject *template = template_of(self, name, until - PyFloat_AS_DOUBLE(now));
    if (!open_template(template, &shape, &base) || !pending || !PyDict_CheckExact(pending) || !out
        || !PyList_CheckExact(out) || !(until >= self->latest || !PyDict_GET_SIZE(pending))
        || base > self->max_frame || size > self->max_frame - base) {
        return NULL;
    }
    long long serial = self->serial + 1;
    uint32_t id = (uint32_t)(serial & 0x7FFFFFFF);
    Py_ssize_t place = PyList_GET_SIZE(out);
    PyObject *head = write_head(base + size, 1, id, shape, id), *call_id = PyLong_FromUnsignedLong(id);
    Py_INCREF(pending);
    Py_INCREF(out);
    PyObject *entry = make_pending(token, deadline_at, serial, place, name), *there = NULL;
    /* Making it may have run anything; if that has changed anything here, all of it is done again. */
    if (call_id && head && entry && self->serial == serial - 1 && self->accepts == Py_True && self->pending == pending
        && self->out == out && PyList_GET_SIZE(out) == place) {
        there = PyDict_SetDefault(pending, call_id, entry);
    }
    if (there == entry && there && append_two(out, Py_NewRef(head), body) < 0) {
        PyDict_DelItem(pending, call_id);
        there = NULL;
    }
    if (there == entry && there) {
        self->serial = serial;
        self->latest = until;
    }
    else {
        Py_CLEAR(call_id);
    }
    Py_XDECREF(entry);
    Py_XDECREF(head);
    Py_DECREF(out);
    Py_DECREF(pending);
    return call_id;
}

PyDoc_STRVAR(send_call_doc, "send_call(name, body, token, *, deadline_at, now, headers=None, oneway=False)\n--\n\n\
Takes an encoded argument struct; returns the call's id. ``token`` comes back with the reply.\n\n\
The remaining time travels as ``Deadline-Budget`` where there is a header. A oneway call is over with this, and cannot\n\
be cancelled. Raises LocalProtocolError if the connection is closed or draining, TooLarge if the call is over a limit,\n\
and NotIntroduced if the server has not told its limits yet; nothing has changed then.");

static PyObject *
send_call(ClientCore *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *until = NULL, *now = NULL, *headers = NULL, *oneway = NULL;
    Py_ssize_t known = 0;
    if (self->has_templates && self->accepts == Py_True && count == 3) {
        until = named(self->state->until, args, count, names);
        now = named(self->state->now, args, count, names);
        headers = named(self->state->headers, args, count, names);
        oneway = named(self->state->oneway, args, count, names);
        known = (until != NULL) + (now != NULL) + (headers != NULL) + (oneway != NULL);
    }
    if (until && now && PyTuple_GET_SIZE(names) == known && PyFloat_CheckExact(until) && PyFloat_CheckExact(now)
        && PyBytes_CheckExact(args[0]) && PyBytes_CheckExact(args[1]) && is_empty(headers)
        && (!oneway || oneway == Py_False)) {
        PyObject *call_id = call(self, args[0], args[1], args[2], until, now);
        if (call_id || PyErr_Occurred()) {
            return call_id;
        }
    }
    return pass_on((PyObject *)self, "_send_call", args, count, names);
}

PyDoc_STRVAR(client_data_doc, "data_to_send()\n--\n\n\
Everything written since the last time. From here on it counts as having left, unless ``close`` is told otherwise.");

static PyObject *
client_data(ClientCore *self, PyObject *Py_UNUSED(ignored))
{
    if (!self->out || !PyList_CheckExact(self->out)) {
        PyErr_SetString(PyExc_AttributeError, "_out");
        return NULL;
    }
    if (!PyList_GET_SIZE(self->out)) {
        return PyBytes_FromStringAndSize(NULL, 0);
    }
    PyObject *out = Py_NewRef(self->out), *backlog = PyList_New(0), *joined = backlog ? join(out) : NULL;
    Py_DECREF(out);
    if (!joined) {
        Py_XDECREF(backlog);
        return NULL;
    }
    self->before = self->flushed;
    self->flushed = self->serial;
    self->pong_waits = 0;
    Py_XSETREF(self->backlog, backlog);
    return joined;
}

PyDoc_STRVAR(client_receive_doc, "receive_data(data, now)\n--\n\n\
Takes bytes from the socket; returns the tokens of the calls that they answer, with their replies.\n\n\
Check ``state`` afterwards: it is CLOSED if the peer broke the protocol, and then ``close`` returns the other calls.");

static PyObject *
client_receive(ClientCore *self, PyObject *const *args, Py_ssize_t count)
{
    Py_ssize_t start = 0;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "receive_data() takes bytes and a time");
        return NULL;
    }
    PyObject *replies = PyList_New(0);
    if (!replies) {
        return NULL;
    }
    if (self->is_whole && self->has_templates && PyBytes_CheckExact(args[0]) && self->pending
        && PyDict_CheckExact(self->pending) && self->known
        && PyObject_TypeCheck(self->known, self->state->reply_taker)) {
        PyObject *known = Py_NewRef(self->known), *pending = Py_NewRef(self->pending);
        Py_XSETREF(self->last_heard_at, Py_NewRef(args[1]));
        start = take_replies((ReplyTaker *)known, args[0], 0, pending, self->flushed, replies);
        Py_DECREF(pending);
        Py_DECREF(known);
        if (start == PyBytes_GET_SIZE(args[0])) {
            self->wanted = start == self->wanted ? start : 0;
            return replies;
        }
    }
    PyObject *from = start < 0 ? NULL : PyLong_FromSsize_t(start);
    PyObject *rest[] = {args[0], args[1], from, replies};
    PyObject *done = from ? pass_on((PyObject *)self, "_receive", rest, 4, NULL) : NULL;
    if (!done) {
        Py_CLEAR(replies);
    }
    Py_XDECREF(done);
    Py_XDECREF(from);
    return replies;
}

static int
traverse_client(ClientCore *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->pending);
    Py_VISIT(self->known);
    Py_VISIT(self->out);
    Py_VISIT(self->backlog);
    Py_VISIT(self->accepts);
    Py_VISIT(self->last_heard_at);
    Py_VISIT(self->template);
    return 0;
}

static int
clear_client(ClientCore *self)
{
    self->is_whole = self->has_templates = 0;
    Py_CLEAR(self->pending);
    Py_CLEAR(self->known);
    Py_CLEAR(self->out);
    Py_CLEAR(self->backlog);
    Py_CLEAR(self->accepts);
    Py_CLEAR(self->last_heard_at);
    Py_CLEAR(self->name);
    Py_CLEAR(self->template);
    return 0;
}

static PyMethodDef methods_of_client[] = {
    {"send_call", (PyCFunction)(void (*)(void))send_call, METH_FASTCALL | METH_KEYWORDS, send_call_doc},
    {"data_to_send", (PyCFunction)client_data, METH_NOARGS, client_data_doc},
    {"receive_data", (PyCFunction)(void (*)(void))client_receive, METH_FASTCALL, client_receive_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members_of_client[] = {
    {"_pending", T_OBJECT_EX, offsetof(ClientCore, pending), 0, NULL},
    {"_known", T_OBJECT_EX, offsetof(ClientCore, known), 0, NULL},
    {"_out", T_OBJECT_EX, offsetof(ClientCore, out), 0, NULL},
    {"_backlog", T_OBJECT_EX, offsetof(ClientCore, backlog), 0, NULL},
    {"accepts", T_OBJECT_EX, offsetof(ClientCore, accepts), 0, NULL},
    {"last_heard_at", T_OBJECT_EX, offsetof(ClientCore, last_heard_at), 0, NULL},
    {"_latest", T_DOUBLE, offsetof(ClientCore, latest), 0, NULL},
    {"_serial", T_LONGLONG, offsetof(ClientCore, serial), 0, NULL},
    {"_flushed", T_LONGLONG, offsetof(ClientCore, flushed), 0, NULL},
    {"_before", T_LONGLONG, offsetof(ClientCore, before), 0, NULL},
    {"_max_frame", T_PYSSIZET, offsetof(ClientCore, max_frame), 0, NULL},
    {"wanted", T_PYSSIZET, offsetof(ClientCore, wanted), 0, NULL},
    {"_is_whole", T_BOOL, offsetof(ClientCore, is_whole), 0, NULL},
    {"_has_templates", T_BOOL, offsetof(ClientCore, has_templates), 0, NULL},
    {"_pong_waits", T_BOOL, offsetof(ClientCore, pong_waits), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

/* The module */

/* Frees an object of one of these classes, or of one derived from it. */
static void
finish(PyObject *self, inquiry clear)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static void
dealloc_requests(PyObject *self)
{
    finish(self, (inquiry)clear_requests);
}

static void
dealloc_replies(PyObject *self)
{
    finish(self, (inquiry)clear_replies);
}

static void
dealloc_server(PyObject *self)
{
    finish(self, (inquiry)clear_server);
}

static void
dealloc_client(PyObject *self)
{
    finish(self, (inquiry)clear_client);
}

static PyType_Slot slots_of_requests[] = {
    {Py_tp_doc, "Takes requests of known shapes."},
    {Py_tp_new, make},
    {Py_tp_init, init_requests},
    {Py_tp_methods, methods_of_requests},
    {Py_tp_traverse, traverse_requests},
    {Py_tp_clear, clear_requests},
    {Py_tp_dealloc, dealloc_requests},
    {0, NULL},
};

static PyType_Slot slots_of_replies[] = {
    {Py_tp_doc, "Takes replies of known shapes."},
    {Py_tp_new, make},
    {Py_tp_init, init_replies},
    {Py_tp_methods, methods_of_replies},
    {Py_tp_traverse, traverse_replies},
    {Py_tp_clear, clear_replies},
    {Py_tp_dealloc, dealloc_replies},
    {0, NULL},
};

static PyType_Slot slots_of_server[] = {
    {Py_tp_doc, "What every call goes through in a server's machine."},
    {Py_tp_new, make},
    {Py_tp_init, init_server},
    {Py_tp_methods, methods_of_server},
    {Py_tp_members, members_of_server},
    {Py_tp_traverse, traverse_server},
    {Py_tp_clear, clear_server},
    {Py_tp_dealloc, dealloc_server},
    {0, NULL},
};

static PyType_Slot slots_of_client[] = {
    {Py_tp_doc, "What every call goes through in a client's machine."},
    {Py_tp_new, make},
    {Py_tp_init, init_client},
    {Py_tp_methods, methods_of_client},
    {Py_tp_members, members_of_client},
    {Py_tp_traverse, traverse_client},
    {Py_tp_clear, clear_client},
    {Py_tp_dealloc, dealloc_client},
    {0, NULL},
};

#define SPEC(type, its_slots) \
    {.name = "zkrpc.wire._compiled." #type, .basicsize = sizeof(type), .slots = its_slots, \
     .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE}

static PyType_Spec specs[] = {
    SPEC(RequestTaker, slots_of_requests),
    SPEC(ReplyTaker, slots_of_replies),
    SPEC(ServerCore, slots_of_server),
    SPEC(ClientCore, slots_of_client),
};

static int
traverse_module(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);
    Py_VISIT(state->request);
    Py_VISIT(state->reply);
    Py_VISIT(state->header_binary);
    Py_VISIT(state->framed_binary);
    Py_VISIT(state->kind_reply);
    Py_VISIT(state->templates);
    Py_VISIT(state->request_taker);
    Py_VISIT(state->reply_taker);
    return 0;
}

static void
free_module(void *module)
{
    State *state = PyModule_GetState(module);
    Py_CLEAR(state->request);
    Py_CLEAR(state->reply);
    Py_CLEAR(state->header_binary);
    Py_CLEAR(state->framed_binary);
    Py_CLEAR(state->kind_reply);
    Py_CLEAR(state->traceparent);
    Py_CLEAR(state->templates);
    Py_CLEAR(state->request_taker);
    Py_CLEAR(state->reply_taker);
    Py_CLEAR(state->kind);
    Py_CLEAR(state->headers);
    Py_CLEAR(state->until);
    Py_CLEAR(state->now);
    Py_CLEAR(state->oneway);
}

PyDoc_STRVAR(describe_doc, "describe(**named)\n--\n\n\
Tells the classes and constants of the package that are used here; those that are not named stay as they are.");

static PyObject *
describe(PyObject *module, PyObject *args, PyObject *kwargs)
{
    State *state = PyModule_GetState(module);
    static char *names[] = {"request", "reply", "header_binary", "framed_binary", "kind_reply", "traceparent",
                            "templates", NULL};
    PyObject **places[] = {(PyObject **)&state->request, (PyObject **)&state->reply, &state->header_binary,
                           &state->framed_binary, &state->kind_reply, &state->traceparent, &state->templates};
    PyObject *told[7] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$O!O!OOOUO!", names, &PyType_Type, &told[0], &PyType_Type,
                                     &told[1], &told[2], &told[3], &told[4], &told[5], &PyDict_Type, &told[6])) {
        return NULL;
    }
    for (int place = 0; place < 2; place++) {
        if (told[place] && !PyType_IsSubtype((PyTypeObject *)told[place], &PyTuple_Type)) {
            PyErr_SetString(PyExc_TypeError, "requests and replies are tuples");
            return NULL;
        }
    }
    for (int place = 0; place < 7; place++) {
        if (told[place]) {
            Py_XSETREF(*places[place], Py_NewRef(told[place]));
        }
    }
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"describe", (PyCFunction)(void (*)(void))describe, METH_VARARGS | METH_KEYWORDS, describe_doc},
    {NULL, NULL, 0, NULL},
};

static int
fill_module(PyObject *module)
{
    State *state = PyModule_GetState(module);
    PyTypeObject *types[sizeof(specs) / sizeof(*specs)];
    for (size_t place = 0; place < sizeof(specs) / sizeof(*specs); place++) {
        types[place] = (PyTypeObject *)PyType_FromModuleAndSpec(module, &specs[place], NULL);
        int failed = !types[place] || PyModule_AddType(module, types[place]) < 0;
        Py_XDECREF(types[place]);  /* the module holds it */
        if (failed) {
            return -1;
        }
    }
    state->request_taker = (PyTypeObject *)Py_NewRef(types[0]);
    state->reply_taker = (PyTypeObject *)Py_NewRef(types[1]);
    state->kind = PyUnicode_InternFromString("kind");
    state->headers = PyUnicode_InternFromString("headers");
    state->until = PyUnicode_InternFromString("deadline_at");
    state->now = PyUnicode_InternFromString("now");
    state->oneway = PyUnicode_InternFromString("oneway");
    int complete = state->kind && state->headers && state->until && state->now && state->oneway;
    return complete ? PyModule_AddStringConstant(module, "BUILT_FROM", BUILT_FROM) : -1;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, fill_module},
    {0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "zkrpc.wire._compiled",
    .m_doc = "The compiled part of zkrpc.wire.",
    .m_size = sizeof(State),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = traverse_module,
    .m_free = free_module,
};

PyMODINIT_FUNC
PyInit__compiled(void)
{
    return PyModuleDef_Init(&definition);
}
