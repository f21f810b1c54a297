/* The hot path of the wire machines. zkrpc/wire/taking.py has the same in Python, and says what it means.

   It only takes what is as usual. Whatever is new, large, incomplete or wrong is left where it is, and the Python path
   decides about it; so nothing here judges a peer, and exceptions are a lack of memory or a caller's mistake.

   Calls into Python can do anything, also to these objects: they happen where a message is given out, and wherever
   memory is asked for, as that may run the garbage collector. So what is used afterwards is owned, and the state of an
   object is looked at again for each message. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

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

/* What this module is told of the package. */
typedef struct {
    PyTypeObject *request, *reply;
    PyObject *header_binary, *framed_binary;
    PyObject *kind_reply;
    PyObject *traceparent;
} State;

static struct PyModuleDef definition;

/* The state that belongs to a class of this module, or to one derived from it. */
static State *
state_of(PyTypeObject *type)
{
    PyObject *module = PyType_GetModuleByDef(type, &definition);
    State *state = module ? PyModule_GetState(module) : NULL;
    if (module && !state->request) {
        PyErr_SetString(PyExc_RuntimeError, "describe() has not been called");
        state = NULL;
    }
    return state;
}

static inline uint32_t
number(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Gives something to a callable; methods of lists and deques are called without a detour. */
static int
give(PyObject *add, PyObject *it)
{
    PyObject *done;
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
    self->state = state_of(Py_TYPE(self));
    if (!self->state || !PyArg_ParseTupleAndKeywords(args, kwargs, "O!n", names, &PyTuple_Type, &shapes, &most)) {
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
    while (start < PyBytes_GET_SIZE(data) && PyDict_GET_SIZE(active) < room && self->expected != NOTHING) {
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
    self->state = state_of(Py_TYPE(self));
    if (!self->state || !PyArg_ParseTupleAndKeywords(args, kwargs, "O!n", names, &PyTuple_Type, &shapes, &most)) {
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
    while (start < PyBytes_GET_SIZE(data)) {
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

static PyType_Slot slots_of_requests[] = {
    {Py_tp_doc, "Takes requests of known shapes."},
    {Py_tp_init, init_requests},
    {Py_tp_methods, methods_of_requests},
    {Py_tp_traverse, traverse_requests},
    {Py_tp_clear, clear_requests},
    {Py_tp_dealloc, dealloc_requests},
    {0, NULL},
};

static PyType_Slot slots_of_replies[] = {
    {Py_tp_doc, "Takes replies of known shapes."},
    {Py_tp_init, init_replies},
    {Py_tp_methods, methods_of_replies},
    {Py_tp_traverse, traverse_replies},
    {Py_tp_clear, clear_replies},
    {Py_tp_dealloc, dealloc_replies},
    {0, NULL},
};

#define SPEC(type, its_slots) \
    {.name = "zkrpc.wire._compiled." #type, .basicsize = sizeof(type), .slots = its_slots, \
     .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE}

static PyType_Spec specs[] = {
    SPEC(RequestTaker, slots_of_requests),
    SPEC(ReplyTaker, slots_of_replies),
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
}

PyDoc_STRVAR(describe_doc, "describe(request, reply, header_binary, framed_binary, kind_reply, traceparent)\n--\n\n\
Tells, once, the classes and constants of the package that are used here.");

static PyObject *
describe(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    PyTypeObject *request, *reply;
    PyObject *header_binary, *framed_binary, *kind_reply, *traceparent;
    if (!PyArg_ParseTuple(args, "O!O!OOOU", &PyType_Type, &request, &PyType_Type, &reply, &header_binary,
                          &framed_binary, &kind_reply, &traceparent)) {
        return NULL;
    }
    if (!PyType_IsSubtype(request, &PyTuple_Type) || !PyType_IsSubtype(reply, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "requests and replies are tuples");
        return NULL;
    }
    Py_XSETREF(state->request, (PyTypeObject *)Py_NewRef(request));
    Py_XSETREF(state->reply, (PyTypeObject *)Py_NewRef(reply));
    Py_XSETREF(state->header_binary, Py_NewRef(header_binary));
    Py_XSETREF(state->framed_binary, Py_NewRef(framed_binary));
    Py_XSETREF(state->kind_reply, Py_NewRef(kind_reply));
    Py_XSETREF(state->traceparent, Py_NewRef(traceparent));
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"describe", describe, METH_VARARGS, describe_doc},
    {NULL, NULL, 0, NULL},
};

static int
fill_module(PyObject *module)
{
    for (size_t place = 0; place < sizeof(specs) / sizeof(*specs); place++) {
        PyObject *type = PyType_FromModuleAndSpec(module, &specs[place], NULL);
        int failed = !type || PyModule_AddType(module, (PyTypeObject *)type) < 0;
        Py_XDECREF(type);
        if (failed) {
            return -1;
        }
    }
    return PyModule_AddStringConstant(module, "BUILT_FROM", BUILT_FROM);
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
