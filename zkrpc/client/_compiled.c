/* What the client does for every call and for every read, when all goes well. exchange.py, attempting.py and invoking.py
   have the same in Python, under the same names.

   Nothing is decided here that is rare: errors, second attempts, the end of a connection and all that is configured out
   of the ordinary are methods of the Python classes that derive from these, called as the Python twins call them.
   Nothing is done twice but what changes nothing: arguments that do not fit are bound or encoded again, in Python, for
   the words.

   Calls into Python can do anything, and a switch to another greenlet does: it may come back with any exception, and
   everything may have changed meanwhile. So whatever is used after a call is owned, and state is looked at again.

   Objects of known classes (function know) are read and filled by the places of their slots, all others by their
   attributes. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stddef.h>
#include <string.h>
#include <structmember.h>

#ifndef BUILT_FROM
#error "setup.py defines what this is built from"
#endif

enum { READ_SIZE = 80 * 1024 };  /* as in exchange.py */
#define FRESH 0.001              /* as there */

enum class_number {
    CALL, METHOD, PLAN, OPTIONS, MEMBER, LOAD, BREAKER, BUDGET, RECORDING, WAITER, ALARM, OUTBOX, BALANCER, P2C, CHANNEL, CLASSES
};
static const char *const class_names[CLASSES] = {
    "Call", "Method", "Plan", "CallOptions", "Member", "Load", "Breaker", "RetryBudget", "Recording", "Waiter", "Alarm",
    "Outbox", "LoadBalancer", "P2C", "Channel"
};

/* The slots of known classes: class, name in C, name in Python. */
#define SLOTS(DO) \
    DO(CALL, ATTEMPT, "attempt") DO(CALL, BEGAN, "began") DO(CALL, BODY, "body") DO(CALL, DEADLINE, "deadline") \
    DO(CALL, DESCRIPTOR, "descriptor") DO(CALL, ENCODED, "encoded") DO(CALL, ENDPOINT, "endpoint") DO(CALL, HEADERS, "headers") \
    DO(CALL, IDEMPOTENT, "idempotent") DO(CALL, KEY, "key") DO(CALL, NAME, "method") DO(CALL, ONEWAY, "oneway") \
    DO(CALL, PLAN, "plan") DO(CALL, REPEATED, "repeated") DO(CALL, ROUTE, "route") DO(CALL, TRIED, "tried") \
    DO(METHOD, ATTEMPT_PACK, "attempt_pack") DO(METHOD, ATTEMPT_READ, "attempt_read") \
    DO(METHOD, ENCODE, "encode_arguments") DO(METHOD, NAME, "name") DO(METHOD, ONEWAY, "oneway") \
    DO(METHOD, PACK, "pack") DO(METHOD, READ, "read_result") DO(METHOD, WIRE_NAME, "wire_name") \
    DO(PLAN, FIRST, "first") DO(PLAN, HASH_KEY, "hash_key") DO(PLAN, IDEMPOTENT, "idempotent") \
    DO(PLAN, PRIMARY, "primary") DO(PLAN, PROCEED, "proceed") DO(PLAN, TIMEOUT, "timeout") \
    DO(OPTIONS, IDEMPOTENT, "idempotent") DO(OPTIONS, SENT, "sent") DO(OPTIONS, TIMEOUT, "timeout") \
    DO(MEMBER, BREAKER, "breaker") DO(MEMBER, ENDPOINT, "endpoint") DO(MEMBER, LOAD, "load") \
    DO(MEMBER, SUBCHANNEL, "subchannel") \
    DO(LOAD, COST, "_cost") DO(LOAD, MEASURED_AT, "_measured_at") DO(LOAD, PENDING, "pending") \
    DO(BREAKER, SUCCESSES, "successes") DO(BREAKER, TROUBLED, "troubled") \
    DO(BUDGET, CALLS, "calls") \
    DO(RECORDING, SECONDS, "seconds") DO(RECORDING, URGENT, "urgent") \
    DO(WAITER, GREENLET, "greenlet") DO(WAITER, MOVABLE, "movable") \
    DO(ALARM, AT, "at") \
    DO(OUTBOX, SEND, "send") DO(OUTBOX, UNSENT, "unsent") \
    DO(BALANCER, LOOK_AT, "_look_at") DO(BALANCER, PICKER, "_picker") \
    DO(P2C, CANDIDATES, "_candidates")

#define NUMBER(class, slot, name) class##_##slot,
enum slot { SLOTS(NUMBER) SLOT_COUNT };
#define CLASS(class, slot, name) class,
static const unsigned char class_of[SLOT_COUNT] = {SLOTS(CLASS)};
#define TEXT(class, slot, name) name,
static const char *const name_of[SLOT_COUNT] = {SLOTS(TEXT)};

/* Attributes and methods of other objects, and names of arguments. */
#define NAMES(DO) \
    DO(_after_step) DO(_balancer) DO(_break) DO(_come_home) DO(_failed) DO(_failure) DO(_forget) DO(_inherit) DO(_invoke) DO(_learn_epoch) DO(_look) \
    DO(_make_plan) DO(_misread) DO(_out_of_time) DO(_read_on) DO(_refused) DO(_send_oneway) DO(_unread) DO(_with_attempt) \
    DO(_worded) DO(accepts) DO(acquire) DO(body) DO(call) DO(closed) DO(data_to_send) DO(deadline_at) \
    DO(finish) DO(flush_soon) DO(handle_error) DO(headers) DO(keep) DO(keep_backlog) \
    DO(movable) DO(name) DO(names) DO(now) DO(oneway) DO(parent) DO(payload) DO(pick) DO(ready) \
    DO(receive_data) DO(receive_failure) DO(receive_success) DO(release) DO(send_call) DO(set) \
    DO(settle) DO(wanted)

typedef struct {
    PyTypeObject *known[CLASSES];          /* NULL until it is known */
    Py_ssize_t place[SLOT_COUNT];          /* of a known class's slot in its objects */
    PyObject *text[SLOT_COUNT];
#define FIELD(name) PyObject *name;
    struct { NAMES(FIELD) } s;
    PyObject *switch_to;                   /* the name of what switches to a greenlet */
    PyObject *send_names;                  /* of the last arguments of send_call */
    PyObject *getcurrent, *find_current_call, *in_event_loop;
    PyObject *local_error, *exception_kind, *binary;
    PyTypeObject *deadline;
    PyObject *nobody;                      /* an empty set of endpoints */
    PyObject *zero, *one, *minus_one;
    double decay, forget_after;            /* seconds, of loads */
    Py_ssize_t most_seconds;               /* that a recording gathers */
} State;

static struct PyModuleDef definition;

/* Small things */

static inline PyObject *
get(State *st, PyObject *it, enum slot slot)
{
    if (Py_TYPE(it) == st->known[class_of[slot]]) {
        PyObject *value = *(PyObject **)((char *)it + st->place[slot]);
        if (value) {
            return Py_NewRef(value);
        }
    }
    return PyObject_GetAttr(it, st->text[slot]);
}

static inline int
put(State *st, PyObject *it, enum slot slot, PyObject *value)
{
    if (Py_TYPE(it) == st->known[class_of[slot]]) {
        PyObject **place = (PyObject **)((char *)it + st->place[slot]);
        Py_XSETREF(*place, Py_NewRef(value));
        return 0;
    }
    return PyObject_SetAttr(it, st->text[slot], value);
}

/* Adds a number to a counter. */
static int
count(State *st, PyObject *it, enum slot slot, PyObject *by)
{
    PyObject *before = get(st, it, slot);
    PyObject *after = before ? PyNumber_Add(before, by) : NULL;
    int failed = !after || put(st, it, slot, after) < 0;
    Py_XDECREF(before);
    Py_XDECREF(after);
    return failed ? -1 : 0;
}

/* Whether a slot holds what counts as true; -1 with an exception. */
static int
is_true(State *st, PyObject *it, enum slot slot)
{
    PyObject *value = get(st, it, slot);
    int truth = !value ? -1 : value == Py_True ? 1 : value == Py_False || value == Py_None ? 0 : PyObject_IsTrue(value);
    Py_XDECREF(value);
    return truth;
}

/* The same of an attribute. */
static int
is_set(PyObject *it, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(it, name);
    int truth = value ? PyObject_IsTrue(value) : -1;
    Py_XDECREF(value);
    return truth;
}

static inline PyObject *
ask(PyObject *it, PyObject *method)
{
    return PyObject_VectorcallMethod(method, &it, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

static inline PyObject *
ask1(PyObject *it, PyObject *method, PyObject *one)
{
    PyObject *args[] = {it, one};
    return PyObject_VectorcallMethod(method, args, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

static inline int
done(PyObject *answer)
{
    Py_XDECREF(answer);
    return answer ? 0 : -1;
}

/* The exception that is set, which is set no longer. */
static PyObject *
take_error(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback) {
        PyException_SetTraceback(value, traceback);
        Py_DECREF(traceback);
    }
    Py_DECREF(type);
    return value;
#endif
}

/* Sets it again, and takes it over. */
static void
raise_again(PyObject *error)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(error);
#else
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(error)), error, PyException_GetTraceback(error));
#endif
}

/* A moment, and the same as a number. */
static PyObject *
look_at(PyObject *clock, double *now)
{
    PyObject *moment = PyObject_CallNoArgs(clock);
    *now = moment ? PyFloat_AsDouble(moment) : -1;
    if (moment && *now == -1 && PyErr_Occurred()) {
        Py_CLEAR(moment);
    }
    return moment;
}

/* Puts arguments in their order, borrowed; those that are not given stay as they are. */
static int
sort_out(PyObject *const *args, Py_ssize_t given, PyObject *named, PyObject *const *names, Py_ssize_t count,
         Py_ssize_t needed, PyObject **sorted)
{
    Py_ssize_t words = named ? PyTuple_GET_SIZE(named) : 0;
    int fits = given <= count;
    for (Py_ssize_t place = 0; fits && place < given; place++) {
        sorted[place] = args[place];
    }
    for (Py_ssize_t word = 0; fits && word < words; word++) {
        Py_ssize_t place = given;
        while (place < count && PyUnicode_Compare(PyTuple_GET_ITEM(named, word), names[place])) {
            place++;
        }
        fits = place < count;
        if (fits) {
            sorted[place] = args[given + word];
        }
    }
    for (Py_ssize_t place = 0; fits && place < needed; place++) {
        fits = sorted[place] != NULL;
    }
    if (!fits) {
        PyErr_SetString(PyExc_TypeError, "arguments do not fit");
    }
    return fits;
}

static State *
state_of(PyTypeObject *type)
{
    PyObject *module = PyType_GetModuleByDef(type, &definition);
    return module ? PyModule_GetState(module) : NULL;
}

/* A connection */

typedef struct {
    PyObject_HEAD
    State *st;
    PyObject *alarm, *clock, *heard, *hub, *loop, *outbox, *protocol, *recv;
    double looked_at;
    char closed, closes_when_idle, flush_armed, sends_at_once;
} Exchange;

/* Whether the socket took all of a chunk; the outbox is told of what it did not take. */
static int
push(Exchange *self, PyObject *chunk)
{
    State *st = self->st;
    PyObject *send = get(st, self->outbox, OUTBOX_SEND), *sent = send ? PyObject_CallOneArg(send, chunk) : NULL;
    Py_XDECREF(send);
    if (send && !sent && PyErr_ExceptionMatches(PyExc_OSError)) {
        PyObject *error = take_error();
        sent = ask1(self->outbox, st->s.receive_failure, error);
        Py_DECREF(error);
    }
    Py_ssize_t count = sent ? PyLong_AsSsize_t(sent) : -1;
    int all = count < 0 && PyErr_Occurred() ? -1 : count >= PyObject_Size(chunk);
    if (!all) {
        PyObject *args[] = {self->outbox, chunk, sent};
        all = done(PyObject_VectorcallMethod(st->s.keep, args, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL));
    }
    Py_XDECREF(sent);
    return all;
}

static int
flush(Exchange *self)
{
    State *st = self->st;
    self->flush_armed = 0;
    if (self->closed) {
        return 0;
    }
    PyObject *bytes = get(st, self->outbox, OUTBOX_UNSENT);
    Py_ssize_t unsent = bytes ? PyObject_Size(bytes) : -1;
    Py_XDECREF(bytes);
    if (unsent) {
        return unsent < 0 ? -1 : 0;
    }
    double now;
    PyObject *moment = look_at(self->clock, &now);
    if (done(moment) < 0) {
        return -1;
    }
    if (now - self->looked_at > FRESH && done(ask((PyObject *)self, st->s._look)) < 0) {
        return -1;
    }
    PyObject *chunk = ask(self->protocol, st->s.data_to_send);
    int left = chunk ? PyObject_IsTrue(chunk) : -1;
    if (left > 0) {
        left = push(self, chunk);
        if (!left && !self->closed) {
            left = done(ask1(self->protocol, st->s.keep_backlog, chunk));
        }
    }
    Py_XDECREF(chunk);
    if (left >= 0 && self->closes_when_idle) {
        left = done(ask((PyObject *)self, st->s._after_step));
    }
    return left < 0 ? -1 : 0;
}

static PyObject *
exchange_flush(Exchange *self, PyObject *Py_UNUSED(ignored))
{
    return flush(self) < 0 ? NULL : Py_NewRef(Py_None);
}

/* The wait for a reply, and what is to be done if it ends otherwise. */
static PyObject *
await_reply(Exchange *self, PyObject *waiter, PyObject *call_id)
{
    State *st = self->st;
    PyObject *reply = ask(self->hub, st->switch_to);
    PyObject *greenlet = get(st, waiter, WAITER_GREENLET);
    if (reply && greenlet == Py_None) {
        Py_DECREF(greenlet);
        return reply;
    }
    PyObject *error = reply ? NULL : take_error();
    int failed = !greenlet;
    if (greenlet && greenlet != Py_None) {
        failed = put(st, waiter, WAITER_GREENLET, Py_None) < 0 || done(ask1((PyObject *)self, st->s._forget, call_id)) < 0;
    }
    Py_XDECREF(greenlet);
    if (failed) {
        Py_XDECREF(error);
        Py_CLEAR(reply);
    }
    else if (error) {
        raise_again(error);
    }
    return reply;
}

static PyObject *
new_waiter(State *st, PyObject *movable)
{
    PyTypeObject *type = st->known[WAITER];
    PyObject *greenlet = type ? PyObject_CallNoArgs(st->getcurrent) : NULL;
    PyObject *waiter = greenlet ? type->tp_alloc(type, 0) : NULL;
    if (waiter && (put(st, waiter, WAITER_GREENLET, greenlet) < 0 || put(st, waiter, WAITER_MOVABLE, movable) < 0)) {
        Py_CLEAR(waiter);
    }
    Py_XDECREF(greenlet);
    if (!type) {
        PyErr_SetString(PyExc_TypeError, "the class Waiter is not known");
    }
    return waiter;
}

/* Has the call's bytes leave soon, and the alarm ring in time. */
static int
see_off(Exchange *self, PyObject *deadline_at)
{
    State *st = self->st;
    PyObject *at = get(st, self->alarm, ALARM_AT);
    int sooner = at ? PyObject_RichCompareBool(deadline_at, at, Py_LT) : -1;
    Py_XDECREF(at);
    if (sooner > 0) {
        sooner = done(ask1(self->alarm, st->s.set, deadline_at));
    }
    if (sooner < 0) {
        return -1;
    }
    if (self->sends_at_once) {
        self->sends_at_once = 0;
        return flush(self);
    }
    return self->flush_armed ? 0 : done(ask((PyObject *)self, st->s.flush_soon));
}

PyDoc_STRVAR(call_doc, "call(name, body, deadline_at, headers=None, oneway=False, movable=False)\n--\n\n\
Sends a call and waits for its reply; see exchange.py.");

static PyObject *
exchange_call(Exchange *self, PyObject *const *args, Py_ssize_t given, PyObject *named)
{
    State *st = self->st;
    PyObject *const names[] = {st->s.name, st->s.body, st->s.deadline_at, st->s.headers, st->s.oneway, st->s.movable};
    PyObject *it[6] = {NULL, NULL, NULL, Py_None, Py_False, Py_False};
    if (!sort_out(args, given, named, names, 6, 3, it)) {
        return NULL;
    }
    int oneway = PyObject_IsTrue(it[4]);
    if (oneway) {
        PyObject *sent[] = {(PyObject *)self, it[0], it[1], it[2], it[3]};
        return oneway < 0 ? NULL : PyObject_VectorcallMethod(st->s._send_oneway, sent, 5, NULL);
    }
    double now;
    PyObject *waiter = new_waiter(st, it[5]), *moment = waiter ? look_at(self->clock, &now) : NULL, *call_id = NULL;
    if (moment) {
        PyObject *sent[] = {self->protocol, it[0], it[1], waiter, it[2], moment, it[3]};
        call_id = PyObject_VectorcallMethod(st->s.send_call, sent, 4 | PY_VECTORCALL_ARGUMENTS_OFFSET, st->send_names);
        Py_DECREF(moment);
        if (!call_id && PyErr_ExceptionMatches(st->local_error)) {
            PyObject *error = take_error();  /* and nothing has been taken */
            PyObject *refused[] = {(PyObject *)self, error, it[0], it[1], it[2], it[3], it[4], it[5]};
            PyObject *reply = PyObject_VectorcallMethod(st->s._refused, refused, 8, NULL);
            Py_DECREF(error);
            Py_DECREF(waiter);
            return reply;
        }
    }
    PyObject *reply = call_id && see_off(self, it[2]) == 0 ? await_reply(self, waiter, call_id) : NULL;
    Py_XDECREF(waiter);
    Py_XDECREF(call_id);
    return reply;
}

/* The replies of one read; NULL without an exception if there was nothing, or the connection has ended. */
static PyObject *
read_once(Exchange *self)
{
    State *st = self->st;
    PyObject *size = PyObject_GetAttr(self->protocol, st->s.wanted);
    if (size && PyObject_Not(size) > 0) {
        Py_SETREF(size, PyLong_FromLong(READ_SIZE));
    }
    PyObject *chunk = size ? PyObject_CallOneArg(self->recv, size) : NULL;
    Py_XDECREF(size);
    if (!chunk) {
        if (PyErr_ExceptionMatches(PyExc_OSError)) {
            PyObject *error = take_error();
            Py_XDECREF(ask1((PyObject *)self, st->s._unread, error));
            Py_DECREF(error);
        }
        return NULL;
    }
    int some = PyObject_IsTrue(chunk);
    if (some <= 0) {
        Py_DECREF(chunk);
        Py_XDECREF(some ? NULL : ask1((PyObject *)self, st->s._break, Py_None));
        return NULL;
    }
    double now;
    PyObject *protocol = Py_NewRef(self->protocol), *moment = look_at(self->clock, &now), *replies = NULL;
    if (moment) {
        if (now - self->looked_at < FRESH) {
            self->looked_at = now;
        }
        PyObject *args[] = {protocol, chunk, moment};
        replies = PyObject_VectorcallMethod(st->s.receive_data, args, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    Py_DECREF(chunk);
    Py_XDECREF(moment);
    if (replies && self->heard != Py_None) {
        PyObject *heard = self->heard;
        self->heard = Py_NewRef(Py_None);
        if (done(ask(heard, st->s.set)) < 0) {
            Py_CLEAR(replies);
        }
        Py_DECREF(heard);
    }
    int accepts = replies ? is_set(protocol, st->s.accepts) : 1;
    if (accepts < 0 || (!accepts && done(ask((PyObject *)self, st->s._after_step)) < 0)) {
        Py_CLEAR(replies);
    }
    Py_DECREF(protocol);
    return replies;
}

/* Wakes who waits for a reply. Only a failure to tell of a failure is one. */
static int
wake(Exchange *self, PyObject *pair)
{
    State *st = self->st;
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
        PyErr_SetString(PyExc_TypeError, "a waiter comes with its reply");
        return -1;
    }
    PyObject *waiter = PyTuple_GET_ITEM(pair, 0), *reply = PyTuple_GET_ITEM(pair, 1);
    PyObject *greenlet = get(st, waiter, WAITER_GREENLET);
    int failed = !greenlet;
    if (greenlet && greenlet != Py_None) {
        failed = put(st, waiter, WAITER_GREENLET, Py_None) < 0;
        if (!failed && done(ask1(greenlet, st->switch_to, reply)) < 0) {
            PyObject *error = take_error(), *traceback = PyException_GetTraceback(error);
            PyObject *args[] = {self->hub, greenlet, (PyObject *)Py_TYPE(error), error, traceback ? traceback : Py_None};
            failed = done(PyObject_VectorcallMethod(st->s.handle_error, args, 5, NULL)) < 0;
            Py_DECREF(error);
            Py_XDECREF(traceback);
        }
    }
    Py_XDECREF(greenlet);
    return failed ? -1 : 0;
}

static int
hand_out(Exchange *self, PyObject *replies)
{
    State *st = self->st;
    self->flush_armed = 1;
    for (Py_ssize_t place = 0; place < PyList_GET_SIZE(replies); place++) {
        self->sends_at_once = place + 1 == PyList_GET_SIZE(replies);
        PyObject *pair = Py_NewRef(PyList_GET_ITEM(replies, place));
        int failed = wake(self, pair);
        Py_DECREF(pair);
        if (failed) {
            return -1;
        }
    }
    self->sends_at_once = 0;
    if (flush(self) < 0) {
        return -1;
    }
    int accepts = self->closes_when_idle ? 0 : is_set(self->protocol, st->s.accepts);
    return accepts ? accepts : done(ask((PyObject *)self, st->s._after_step));
}

static PyObject *
exchange_hand_out(Exchange *self, PyObject *replies)
{
    if (!PyList_Check(replies)) {
        PyErr_SetString(PyExc_TypeError, "replies come in a list");
        return NULL;
    }
    return hand_out(self, replies) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
exchange_read(Exchange *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *replies = read_once(self);
    return replies || PyErr_Occurred() ? replies : Py_NewRef(Py_None);
}

static PyObject *
exchange_on_readable(Exchange *self, PyObject *Py_UNUSED(ignored))
{
    State *st = self->st;
    PyObject *replies = read_once(self);
    int wanted = replies ? is_set(self->protocol, st->s.wanted) : 0;
    if (wanted > 0) {
        wanted = done(ask1((PyObject *)self, st->s._read_on, replies));
    }
    int failed = replies ? wanted < 0 || hand_out(self, replies) < 0 : PyErr_Occurred() != NULL;
    Py_XDECREF(replies);
    return failed ? NULL : Py_NewRef(Py_None);
}

static PyObject *
exchange_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(named))
{
    State *st = state_of(type);
    Exchange *self = st ? (Exchange *)type->tp_alloc(type, 0) : NULL;
    if (self) {
        self->st = st;
        PyObject **fields[] = {&self->alarm, &self->clock, &self->heard, &self->hub, &self->loop, &self->outbox,
                               &self->protocol, &self->recv};
        for (size_t place = 0; place < sizeof(fields) / sizeof(*fields); place++) {
            *fields[place] = Py_NewRef(Py_None);
        }
    }
    return (PyObject *)self;
}

static int
exchange_traverse(Exchange *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->alarm);
    Py_VISIT(self->clock);
    Py_VISIT(self->heard);
    Py_VISIT(self->hub);
    Py_VISIT(self->loop);
    Py_VISIT(self->outbox);
    Py_VISIT(self->protocol);
    Py_VISIT(self->recv);
    return 0;
}

/* Fields that hold objects never hold nothing, and are not for anybody to take away. */
static PyObject *
get_field(PyObject *self, void *place)
{
    return Py_NewRef(*(PyObject **)((char *)self + (size_t)place));
}

static int
set_field(PyObject *self, PyObject *value, void *place)
{
    PyObject **field = (PyObject **)((char *)self + (size_t)place);
    if (!value) {
        PyErr_SetString(PyExc_AttributeError, "this cannot be deleted");
        return -1;
    }
    Py_SETREF(*field, Py_NewRef(value));
    return 0;
}

#define FORGET(field) Py_SETREF(self->field, Py_NewRef(Py_None))
#define OBJECT(type, name, field) {name, get_field, set_field, NULL, (void *)offsetof(type, field)}

static int
exchange_clear(Exchange *self)
{
    FORGET(alarm);
    FORGET(clock);
    FORGET(heard);
    FORGET(hub);
    FORGET(loop);
    FORGET(outbox);
    FORGET(protocol);
    FORGET(recv);
    return 0;
}

static void
exchange_dealloc(Exchange *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    PyObject *fields[] = {self->alarm, self->clock, self->heard, self->hub, self->loop, self->outbox, self->protocol,
                          self->recv};
    for (size_t place = 0; place < sizeof(fields) / sizeof(*fields); place++) {
        Py_XDECREF(fields[place]);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef exchange_methods[] = {
    {"call", (PyCFunction)(void (*)(void))exchange_call, METH_FASTCALL | METH_KEYWORDS, call_doc},
    {"_flush", (PyCFunction)exchange_flush, METH_NOARGS, NULL},
    {"_hand_out", (PyCFunction)exchange_hand_out, METH_O, NULL},
    {"_on_readable", (PyCFunction)exchange_on_readable, METH_NOARGS, NULL},
    {"_read", (PyCFunction)exchange_read, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef exchange_members[] = {
    {"_closes_when_idle", T_BOOL, offsetof(Exchange, closes_when_idle), 0, NULL},
    {"_flush_armed", T_BOOL, offsetof(Exchange, flush_armed), 0, NULL},
    {"_looked_at", T_DOUBLE, offsetof(Exchange, looked_at), 0, NULL},
    {"_sends_at_once", T_BOOL, offsetof(Exchange, sends_at_once), 0, NULL},
    {"closed", T_BOOL, offsetof(Exchange, closed), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef exchange_fields[] = {
    OBJECT(Exchange, "_alarm", alarm), OBJECT(Exchange, "_clock", clock), OBJECT(Exchange, "_heard", heard),
    OBJECT(Exchange, "_hub", hub), OBJECT(Exchange, "_loop", loop), OBJECT(Exchange, "_outbox", outbox),
    OBJECT(Exchange, "_protocol", protocol), OBJECT(Exchange, "_recv", recv), {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot exchange_slots[] = {
    {Py_tp_doc, "What a connection does for each call and each read."},
    {Py_tp_new, exchange_new},
    {Py_tp_methods, exchange_methods},
    {Py_tp_members, exchange_members},
    {Py_tp_getset, exchange_fields},
    {Py_tp_traverse, exchange_traverse},
    {Py_tp_clear, exchange_clear},
    {Py_tp_dealloc, exchange_dealloc},
    {0, NULL},
};

static PyType_Spec exchange_spec = {
    .name = "zkrpc.client._compiled.Exchange",
    .basicsize = sizeof(Exchange),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = exchange_slots,
};

/* An attempt */

typedef struct {
    PyObject_HEAD
    State *st;
    PyObject *channel, *clock, *max_elements, *recording, *router;
} Attempting;

/* What one attempt holds until it is over; all owned. */
typedef struct {
    PyObject *began, *method, *member, *load, *subchannel, *reply, *value, *now;
    double began_at;
} Attempt;

/* The bytes of the arguments; an error in words, if they do not fit. */
static PyObject *
encode(Attempting *self, PyObject *method, PyObject *call, PyObject *connection)
{
    State *st = self->st;
    PyObject *payload = PyObject_GetAttr(connection, st->s.payload);
    PyObject *body = !payload ? NULL : payload == st->binary ? get(st, call, CALL_ENCODED) : Py_NewRef(Py_None);
    if (body != Py_None) {
        Py_XDECREF(payload);
        return body;
    }
    Py_CLEAR(body);
    PyObject *encoder = get(st, method, METHOD_ENCODE), *bound = encoder ? get(st, call, CALL_BODY) : NULL;
    if (bound) {
        PyObject *args[] = {NULL, bound, payload};
        body = PyObject_Vectorcall(encoder, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        if (!body && PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Clear();
            PyObject *again[] = {(PyObject *)self, method, bound, payload};
            body = PyObject_VectorcallMethod(st->s._worded, again, 4, NULL);
        }
    }
    Py_XDECREF(encoder);
    Py_XDECREF(bound);
    Py_DECREF(payload);
    return body;
}

/* The reply to the call, sent on this connection. */
static PyObject *
send(Attempting *self, Attempt *it, PyObject *call, PyObject *connection, PyObject *deadline_at)
{
    State *st = self->st;
    PyObject *body = encode(self, it->method, call, connection);
    PyObject *names = body ? PyObject_GetAttr(it->subchannel, st->s.names) : NULL;
    PyObject *name = !names ? NULL : names == Py_None ? get(st, it->method, METHOD_WIRE_NAME)
                                                      : PyObject_GetItem(names, it->method);
    Py_XDECREF(names);
    PyObject *headers = name ? get(st, call, CALL_HEADERS) : NULL, *attempt = headers ? get(st, call, CALL_ATTEMPT) : NULL;
    int again = attempt ? PyObject_RichCompareBool(attempt, st->one, Py_GT) : -1;
    if (again > 0) {
        PyObject *args[] = {(PyObject *)self, headers, attempt};
        Py_SETREF(headers, PyObject_VectorcallMethod(st->s._with_attempt, args, 3, NULL));
        again = headers ? 0 : -1;
    }
    Py_XDECREF(attempt);
    PyObject *oneway = again ? NULL : get(st, call, CALL_ONEWAY), *movable = oneway ? get(st, call, CALL_IDEMPOTENT) : NULL;
    PyObject *reply = NULL;
    if (movable) {
        PyObject *args[] = {connection, name, body, deadline_at, headers, oneway, movable};
        reply = PyObject_VectorcallMethod(st->s.call, args, 7 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    Py_XDECREF(body);
    Py_XDECREF(name);
    Py_XDECREF(headers);
    Py_XDECREF(oneway);
    Py_XDECREF(movable);
    return reply;
}

/* The reply, on the connection that all share or on one for this call. */
static PyObject *
exchange_with(Attempting *self, Attempt *it, PyObject *call, PyObject *deadline_at)
{
    State *st = self->st;
    PyObject *shared = PyObject_GetAttr(it->subchannel, st->s.ready);
    if (!shared || shared != Py_None) {
        PyObject *reply = shared ? send(self, it, call, shared, deadline_at) : NULL;
        Py_XDECREF(shared);
        return reply;
    }
    Py_DECREF(shared);
    PyObject *connection = ask1(it->subchannel, st->s.acquire, deadline_at);
    if (!connection) {
        return NULL;
    }
    PyObject *reply = send(self, it, call, connection, deadline_at);
    PyObject *error = reply ? NULL : take_error();
    if (done(ask1(it->subchannel, st->s.release, connection)) < 0) {
        Py_CLEAR(reply);
        Py_CLEAR(error);
    }
    Py_DECREF(connection);
    if (error) {
        raise_again(error);
    }
    return reply;
}

/* Has a method take an error, which is then raised on. */
static void
tell_failure(Attempting *self, Attempt *it, PyObject *call)
{
    PyObject *error = take_error();
    PyObject *args[] = {(PyObject *)self, call, it->member, error, it->began};
    if (done(PyObject_VectorcallMethod(self->st->s._failed, args, 5, NULL)) < 0) {
        Py_DECREF(error);
    }
    else {
        raise_again(error);
    }
}

/* Raises what a method answers. */
static void
raise_answer(PyObject *answer)
{
    if (answer) {
        PyErr_SetObject((PyObject *)Py_TYPE(answer), answer);
        Py_DECREF(answer);
    }
}

/* What a reply holds; NULL with the exception that it holds, or that says why it cannot be read. */
static PyObject *
read_result(Attempting *self, PyObject *method, PyObject *reply)
{
    State *st = self->st;
    PyObject *payload = PyObject_GetAttr(PyTuple_GET_ITEM(reply, 4), st->s.payload);
    PyObject *args[] = {NULL, PyTuple_GET_ITEM(reply, 2), PyTuple_GET_ITEM(reply, 3),
                        payload == st->binary ? Py_False : Py_True, self->max_elements};
    PyObject *reader = payload ? get(st, method, METHOD_ATTEMPT_READ) : NULL, *value = reader ? Py_NewRef(Py_None) : NULL;
    if (reader && reader != Py_None) {
        Py_SETREF(value, PyObject_Vectorcall(reader, args + 1, 4 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL));
    }
    if (value == Py_None) {
        Py_SETREF(reader, get(st, method, METHOD_READ));
        args[3] = payload;
        Py_SETREF(value, reader ? PyObject_Vectorcall(reader, args + 1, 4 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL) : NULL);
    }
    Py_XDECREF(payload);
    Py_XDECREF(reader);
    return value;
}

/* Reads the value in a reply; NULL if it is no answer that is a value. */
static PyObject *
read_reply(Attempting *self, Attempt *it, PyObject *call)
{
    State *st = self->st;
    if (it->reply == Py_None) {
        return Py_NewRef(Py_None);
    }
    if (!PyTuple_Check(it->reply) || PyTuple_GET_SIZE(it->reply) != 5) {
        PyErr_SetString(PyExc_TypeError, "a reply has five parts");
        return NULL;
    }
    if (PyTuple_GET_ITEM(it->reply, 0) == st->exception_kind) {
        PyObject *args[] = {(PyObject *)self, call, it->member, it->reply, it->began};
        raise_answer(PyObject_VectorcallMethod(st->s._failure, args, 5, NULL));
        return NULL;
    }
    PyObject *route = get(st, call, CALL_ROUTE);
    if (!route) {
        return NULL;
    }
    Py_DECREF(route);
    if (route != Py_None) {
        PyObject *args[] = {(PyObject *)self, call, it->reply};
        if (done(PyObject_VectorcallMethod(st->s._learn_epoch, args, 3, NULL)) < 0) {
            return NULL;
        }
    }
    PyObject *value = read_result(self, it->method, it->reply);
    if (!value) {
        PyObject *error = take_error();
        PyObject *args[] = {(PyObject *)self, call, it->member, error, it->began};
        PyObject *instead = PyObject_VectorcallMethod(st->s._misread, args, 5, NULL);
        Py_DECREF(error);
        raise_answer(instead);
    }
    return value;
}

/* Notes how long the call took, as attempting.py has it. */
static int
note(Attempting *self, PyObject *call, double now)
{
    State *st = self->st;
    PyObject *began = get(st, call, CALL_BEGAN), *seconds = began ? get(st, self->recording, RECORDING_SECONDS) : NULL;
    PyObject *urgent = seconds ? get(st, self->recording, RECORDING_URGENT) : NULL, *took = NULL;
    double from = urgent ? PyFloat_AsDouble(began) : 0, bound = urgent ? PyFloat_AsDouble(urgent) : 0;
    int failed = !urgent || PyErr_Occurred() || !(took = PyFloat_FromDouble(now - from)) || PyList_Append(seconds, took) < 0;
    if (!failed && (now - from >= bound || PyList_GET_SIZE(seconds) >= st->most_seconds)) {
        failed = done(ask(self->recording, st->s.settle)) < 0;
    }
    Py_XDECREF(began);
    Py_XDECREF(seconds);
    Py_XDECREF(urgent);
    Py_XDECREF(took);
    return failed ? -1 : 0;
}

/* As Load.finish; whether that was done here, -1 with an exception. */
static int
finish_load(State *st, PyObject *load, double elapsed, double now)
{
    if (Py_TYPE(load) != st->known[LOAD]) {
        return 0;
    }
    PyObject *cost = get(st, load, LOAD_COST), *measured_at = cost ? get(st, load, LOAD_MEASURED_AT) : NULL;
    double before = cost ? PyFloat_AsDouble(cost) : 0, age = measured_at ? now - PyFloat_AsDouble(measured_at) : 0;
    Py_XDECREF(cost);
    Py_XDECREF(measured_at);
    if (!measured_at || PyErr_Occurred()) {
        return -1;
    }
    if (elapsed < before && age < st->forget_after) {
        double share = exp(-age / st->decay);
        elapsed = before * share + elapsed * (1.0 - share);
    }
    PyObject *after = PyFloat_FromDouble(elapsed), *moment = PyFloat_FromDouble(now);
    int failed = !after || !moment || count(st, load, LOAD_PENDING, st->minus_one) < 0
        || put(st, load, LOAD_COST, after) < 0 || put(st, load, LOAD_MEASURED_AT, moment) < 0;
    Py_XDECREF(after);
    Py_XDECREF(moment);
    return failed ? -1 : 1;
}

/* The call went well. */
static int
finish(Attempting *self, Attempt *it, PyObject *call)
{
    State *st = self->st;
    double now;
    it->now = look_at(self->clock, &now);
    int finished = it->now ? finish_load(st, it->load, now - it->began_at, now) : -1;
    if (!finished) {
        PyObject *elapsed = PyFloat_FromDouble(now - it->began_at), *args[] = {it->load, elapsed, it->now};
        finished = elapsed ? done(PyObject_VectorcallMethod(st->s.finish, args, 3, NULL)) : -1;
        Py_XDECREF(elapsed);
    }
    int failed = finished < 0;
    PyObject *breaker = failed ? NULL : get(st, it->member, MEMBER_BREAKER);
    failed = !breaker || count(st, breaker, BREAKER_SUCCESSES, st->one) < 0;
    int troubled = failed ? -1 : is_true(st, breaker, BREAKER_TROUBLED);
    Py_XDECREF(breaker);
    if (troubled > 0) {
        PyObject *told[] = {self->channel, it->member, it->now};
        troubled = done(PyObject_VectorcallMethod(st->s.receive_success, told, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL));
    }
    return troubled < 0 ? -1 : self->recording == Py_None ? 0 : note(self, call, now);
}

/* The only member that there is, as Channel.pick, LoadBalancer.pick and P2C.pick find it if nothing is out of the
   ordinary; None if they are to be asked. */
static PyObject *
only_member(Attempting *self, Attempt *it, PyObject *call)
{
    State *st = self->st;
    PyObject *balancer = PyObject_GetAttr(self->channel, st->s._balancer), *tried = get(st, call, CALL_TRIED);
    PyObject *member = NULL, *look_at = NULL, *picker = NULL;
    if (balancer && tried == st->nobody && Py_TYPE(balancer) == st->known[BALANCER]) {
        look_at = get(st, balancer, BALANCER_LOOK_AT);
        picker = look_at ? get(st, balancer, BALANCER_PICKER) : NULL;
    }
    int closed = picker && Py_TYPE(picker) == st->known[P2C] ? is_set(self->channel, st->s.closed) : 1;
    if (!closed && PyFloat_CheckExact(look_at) && it->began_at < PyFloat_AS_DOUBLE(look_at)) {
        PyObject *candidates = get(st, picker, P2C_CANDIDATES);
        if (candidates && PyTuple_CheckExact(candidates) && PyTuple_GET_SIZE(candidates) == 1) {
            member = Py_NewRef(PyTuple_GET_ITEM(candidates, 0));
        }
        Py_XDECREF(candidates);
    }
    Py_XDECREF(balancer);
    Py_XDECREF(tried);
    Py_XDECREF(look_at);
    Py_XDECREF(picker);
    return member || PyErr_Occurred() ? member : Py_NewRef(Py_None);
}

/* Picks a member, and begins the call there. */
static int
begin(Attempting *self, Attempt *it, PyObject *call)
{
    State *st = self->st;
    PyObject *route = get(st, call, CALL_ROUTE);
    if (!route) {
        return -1;
    }
    PyObject *args[] = {route == Py_None ? self->channel : self->router, call, it->began};
    it->member = route == Py_None && Py_TYPE(self->channel) == st->known[CHANNEL] ? only_member(self, it, call)
                                                                                   : Py_NewRef(Py_None);
    Py_DECREF(route);
    if (it->member == Py_None) {
        Py_SETREF(it->member, PyObject_VectorcallMethod(st->s.pick, args, 3, NULL));
    }
    PyObject *endpoint = it->member ? get(st, it->member, MEMBER_ENDPOINT) : NULL;
    int failed = !endpoint || put(st, call, CALL_ENDPOINT, endpoint) < 0;
    Py_XDECREF(endpoint);
    it->load = failed ? NULL : get(st, it->member, MEMBER_LOAD);
    it->subchannel = it->load ? get(st, it->member, MEMBER_SUBCHANNEL) : NULL;
    it->method = it->subchannel ? get(st, call, CALL_DESCRIPTOR) : NULL;
    return it->method ? count(st, it->load, LOAD_PENDING, st->one) : -1;
}

static PyObject *
attempting_run(Attempting *self, PyObject *call)
{
    State *st = self->st;
    Attempt it = {0};
    PyObject *result = NULL, *deadline = get(st, call, CALL_DEADLINE);
    if (!deadline || !PyTuple_Check(deadline) || PyTuple_GET_SIZE(deadline) != 1) {
        if (deadline) {
            PyErr_SetString(PyExc_TypeError, "a call has a deadline");
        }
        Py_XDECREF(deadline);
        return NULL;
    }
    PyObject *deadline_at = PyTuple_GET_ITEM(deadline, 0);
    double until = PyFloat_AsDouble(deadline_at);
    it.began = until == -1 && PyErr_Occurred() ? NULL : look_at(self->clock, &it.began_at);
    if (it.began && it.began_at >= until) {
        raise_answer(ask1((PyObject *)self, st->s._out_of_time, call));
    }
    else if (it.began && begin(self, &it, call) == 0) {
        it.reply = exchange_with(self, &it, call, deadline_at);
        if (!it.reply) {
            tell_failure(self, &it, call);
        }
        else if ((it.value = read_reply(self, &it, call)) && finish(self, &it, call) == 0) {
            result = Py_NewRef(it.value);
        }
    }
    Py_DECREF(deadline);
    Py_XDECREF(it.began);
    Py_XDECREF(it.method);
    Py_XDECREF(it.member);
    Py_XDECREF(it.load);
    Py_XDECREF(it.subchannel);
    Py_XDECREF(it.reply);
    Py_XDECREF(it.value);
    Py_XDECREF(it.now);
    return result;
}

static PyObject *
attempting_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(named))
{
    State *st = state_of(type);
    Attempting *self = st ? (Attempting *)type->tp_alloc(type, 0) : NULL;
    if (self) {
        self->st = st;
        self->channel = Py_NewRef(Py_None);
        self->clock = Py_NewRef(Py_None);
        self->max_elements = Py_NewRef(Py_None);
        self->recording = Py_NewRef(Py_None);
        self->router = Py_NewRef(Py_None);
    }
    return (PyObject *)self;
}

static int
attempting_traverse(Attempting *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->channel);
    Py_VISIT(self->clock);
    Py_VISIT(self->max_elements);
    Py_VISIT(self->recording);
    Py_VISIT(self->router);
    return 0;
}

static int
attempting_clear(Attempting *self)
{
    FORGET(channel);
    FORGET(clock);
    FORGET(max_elements);
    FORGET(recording);
    FORGET(router);
    return 0;
}

static void
attempting_dealloc(Attempting *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(self->channel);
    Py_XDECREF(self->clock);
    Py_XDECREF(self->max_elements);
    Py_XDECREF(self->recording);
    Py_XDECREF(self->router);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef attempting_methods[] = {
    {"run", (PyCFunction)attempting_run, METH_O,
     "run(call)\n--\n\nReturns the value, or raises a declared exception or a CallError that knows its endpoint."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef attempting_fields[] = {
    OBJECT(Attempting, "_channel", channel), OBJECT(Attempting, "_clock", clock),
    OBJECT(Attempting, "_max_elements", max_elements), OBJECT(Attempting, "_recording", recording),
    OBJECT(Attempting, "_router", router), {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot attempting_slots[] = {
    {Py_tp_doc, "One attempt, as long as it goes well."},
    {Py_tp_new, attempting_new},
    {Py_tp_methods, attempting_methods},
    {Py_tp_getset, attempting_fields},
    {Py_tp_traverse, attempting_traverse},
    {Py_tp_clear, attempting_clear},
    {Py_tp_dealloc, attempting_dealloc},
    {0, NULL},
};

static PyType_Spec attempting_spec = {
    .name = "zkrpc.client._compiled.Attempting",
    .basicsize = sizeof(Attempting),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = attempting_slots,
};

/* The first attempt */

typedef struct {
    PyObject_HEAD
    State *st;
    PyObject *proceed, *go_on;
} FirstTry;

static PyObject *
first_call(FirstTry *self, PyObject *args, PyObject *named)
{
    if (PyTuple_GET_SIZE(args) != 1 || (named && PyDict_GET_SIZE(named))) {
        PyErr_SetString(PyExc_TypeError, "one call is made at a time");
        return NULL;
    }
    PyObject *call = PyTuple_GET_ITEM(args, 0);
    if (count(self->st, call, CALL_ATTEMPT, self->st->one) < 0) {
        return NULL;
    }
    PyObject *value = PyObject_CallOneArg(self->proceed, call);
    if (!value) {
        PyObject *error = take_error();
        PyObject *told[] = {NULL, call, error};
        value = PyObject_Vectorcall(self->go_on, told + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        Py_DECREF(error);
    }
    return value;
}

static PyObject *
first_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(named))
{
    PyObject *proceed, *go_on;
    State *st = state_of(type);
    if (!st || !PyArg_ParseTuple(args, "OO", &proceed, &go_on)) {
        return NULL;
    }
    FirstTry *self = (FirstTry *)type->tp_alloc(type, 0);
    if (self) {
        self->st = st;
        self->proceed = Py_NewRef(proceed);
        self->go_on = Py_NewRef(go_on);
    }
    return (PyObject *)self;
}

static int
first_traverse(FirstTry *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->proceed);
    Py_VISIT(self->go_on);
    return 0;
}

static int
first_clear(FirstTry *self)
{
    FORGET(proceed);
    FORGET(go_on);
    return 0;
}

static void
first_dealloc(FirstTry *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(self->proceed);
    Py_XDECREF(self->go_on);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot first_slots[] = {
    {Py_tp_doc, "FirstTry(proceed, go_on)\n--\n\nMakes the first attempt of a call; what follows on an error is go_on's."},
    {Py_tp_new, first_new},
    {Py_tp_call, first_call},
    {Py_tp_traverse, first_traverse},
    {Py_tp_clear, first_clear},
    {Py_tp_dealloc, first_dealloc},
    {0, NULL},
};

static PyType_Spec first_spec = {
    .name = "zkrpc.client._compiled.FirstTry",
    .basicsize = sizeof(FirstTry),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = first_slots,
};

/* A client */

typedef struct {
    PyObject_HEAD
    State *st;
    PyObject *budget, *clock, *hub, *learnt, *plans, *root;
    char has_members;
} Invoking;

/* Whether the current greenlet need not be asked where it comes from; -1 with an exception. */
static int
is_at_home(Invoking *self)
{
    State *st = self->st;
    PyObject *caller = PyObject_CallNoArgs(st->getcurrent);
    PyObject *parent = caller ? PyObject_GetAttr(caller, st->s.parent) : NULL;
    int home = !parent ? -1 : parent == self->hub;
    if (!home && caller == self->root) {
        PyObject *in_loop = PyObject_CallNoArgs(st->in_event_loop);
        home = in_loop ? in_loop == Py_False : -1;
        Py_XDECREF(in_loop);
    }
    Py_XDECREF(caller);
    Py_XDECREF(parent);
    return home;
}

/* When a call has to be answered, as a tuple of the class Deadline. */
static PyObject *
deadline_of(State *st, PyObject *plan, PyObject *options, double began)
{
    PyObject *timeout = get(st, options, OPTIONS_TIMEOUT);
    int set = timeout ? PyObject_IsTrue(timeout) : -1;
    if (set == 0) {
        Py_SETREF(timeout, get(st, plan, PLAN_TIMEOUT));
    }
    double seconds = set < 0 || !timeout ? -1 : PyFloat_AsDouble(timeout);
    Py_XDECREF(timeout);
    if (seconds == -1 && PyErr_Occurred()) {
        return NULL;
    }
    PyObject *at = PyFloat_FromDouble(began + seconds);
    PyObject *deadline = at ? st->deadline->tp_alloc(st->deadline, 1) : NULL;
    if (!deadline) {
        Py_XDECREF(at);
        return NULL;
    }
    PyTuple_SET_ITEM(deadline, 0, at);
    return deadline;
}

/* As make_call in call.py. Takes deadline over; packed is a tuple of the arguments and their bytes. */
static PyObject *
make_call(State *st, PyObject *method, PyObject *plan, PyObject *options, PyObject *packed, PyObject *deadline, PyObject *began)
{
    PyTypeObject *type = st->known[CALL];
    PyObject *call = deadline ? type->tp_alloc(type, 0) : NULL;
    if (!call) {
        Py_XDECREF(deadline);
        return NULL;
    }
    PyObject *idempotent = get(st, options, OPTIONS_IDEMPOTENT);
    if (idempotent == Py_None) {
        Py_SETREF(idempotent, get(st, plan, PLAN_IDEMPOTENT));
    }
    struct { enum slot slot; PyObject *value; } filled[] = {
        {CALL_ATTEMPT, Py_NewRef(st->zero)}, {CALL_BEGAN, Py_NewRef(began)},
        {CALL_BODY, Py_NewRef(PyTuple_GET_ITEM(packed, 0))}, {CALL_DEADLINE, deadline},
        {CALL_DESCRIPTOR, Py_NewRef(method)}, {CALL_ENCODED, Py_NewRef(PyTuple_GET_ITEM(packed, 1))},
        {CALL_ENDPOINT, Py_NewRef(Py_None)},
        {CALL_HEADERS, get(st, options, OPTIONS_SENT)}, {CALL_IDEMPOTENT, idempotent}, {CALL_KEY, Py_NewRef(Py_None)},
        {CALL_NAME, get(st, method, METHOD_NAME)}, {CALL_ONEWAY, get(st, method, METHOD_ONEWAY)},
        {CALL_PLAN, Py_NewRef(plan)}, {CALL_REPEATED, Py_NewRef(Py_False)}, {CALL_ROUTE, Py_NewRef(Py_None)},
        {CALL_TRIED, Py_NewRef(st->nobody)},
    };
    int failed = 0;
    for (size_t place = 0; place < sizeof(filled) / sizeof(*filled); place++) {
        *(PyObject **)((char *)call + st->place[filled[place].slot]) = filled[place].value;
        failed |= !filled[place].value;
    }
    if (failed) {
        Py_CLEAR(call);
    }
    return call;
}

/* The plan of a method, if its calls are made as here; None if not. */
static PyObject *
usual_plan(Invoking *self, PyObject *method)
{
    State *st = self->st;
    PyObject *plan = PyDict_Check(self->plans) ? PyDict_GetItemWithError(self->plans, method) : NULL;
    if (!plan) {
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    }
    Py_INCREF(plan);
    PyObject *key = get(st, plan, PLAN_HASH_KEY);
    Py_XDECREF(key);
    int primary = key ? is_true(st, plan, PLAN_PRIMARY) : -1;
    if (primary == 0 && key == Py_None) {
        PyObject *name = get(st, method, METHOD_NAME);
        primary = name ? PySequence_Contains(self->learnt, name) : -1;
        Py_XDECREF(name);
    }
    if (primary || key != Py_None) {
        Py_SETREF(plan, primary < 0 ? NULL : Py_NewRef(Py_None));
    }
    return plan;
}

/* A tuple of the checked arguments and their bytes, if there are any yet; None if the arguments do not fit. */
static PyObject *
pack(State *st, PyObject *method, PyObject *args, PyObject *named)
{
    int is_usual = PyDict_CheckExact(named) && !PyDict_GET_SIZE(named);
    PyObject *attempt = is_usual ? get(st, method, METHOD_ATTEMPT_PACK) : Py_NewRef(Py_None);
    PyObject *packed = !attempt ? NULL : attempt == Py_None ? Py_NewRef(Py_None) : PyObject_CallOneArg(attempt, args);
    Py_XDECREF(attempt);
    if (packed == Py_None) {
        PyObject *packer = get(st, method, METHOD_PACK), *it[] = {NULL, args, named};
        Py_DECREF(packed);
        packed = packer ? PyObject_Vectorcall(packer, it + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL) : NULL;
        Py_XDECREF(packer);
        if (!packed && PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Clear();
            return Py_NewRef(Py_None);
        }
    }
    if (packed && (!PyTuple_Check(packed) || PyTuple_GET_SIZE(packed) != 2)) {
        Py_CLEAR(packed);
        PyErr_SetString(PyExc_ValueError, "arguments are packed in two parts");
    }
    return packed;
}

/* Makes a call that is as usual, of a greenlet that may make it. */
static PyObject *
proceed(Invoking *self, PyObject *plan, PyObject *call)
{
    State *st = self->st;
    PyObject *serving = PyObject_CallNoArgs(st->find_current_call);
    if (serving && serving != Py_None) {
        PyObject *args[] = {(PyObject *)self, call, serving};
        if (done(PyObject_VectorcallMethod(st->s._inherit, args, 3, NULL)) < 0) {
            Py_CLEAR(serving);
        }
    }
    if (!serving) {
        return NULL;
    }
    Py_DECREF(serving);
    PyObject *way = get(st, plan, self->has_members ? PLAN_PROCEED : PLAN_FIRST);
    PyObject *value = way ? PyObject_CallOneArg(way, call) : NULL;
    Py_XDECREF(way);
    return value;
}

PyDoc_STRVAR(invoke_doc, "invoke(method, args=(), kwargs={}, options=DEFAULT_OPTIONS, began=None)\n--\n\n\
Makes one call and returns its value; None for a void or oneway method; see invoking.py.");

static PyObject *
invoking_invoke(Invoking *self, PyObject *const *args, Py_ssize_t given, PyObject *named)
{
    State *st = self->st;
    int home = given == 4 && !named && st->known[CALL] ? is_at_home(self) : 0;
    PyObject *plan = home > 0 ? usual_plan(self, args[0]) : NULL;
    PyObject *packed = plan && plan != Py_None ? pack(st, args[0], args[1], args[2]) : NULL;
    if (!packed || packed == Py_None) {
        Py_XDECREF(plan);
        Py_XDECREF(packed);
        if (PyErr_Occurred()) {
            return NULL;
        }
        PyObject *all[8] = {(PyObject *)self};
        Py_ssize_t words = named ? PyTuple_GET_SIZE(named) : 0;
        if (given + words > 7) {
            PyErr_SetString(PyExc_TypeError, "invoke() takes up to five arguments");
            return NULL;
        }
        memcpy(all + 1, args, (size_t)(given + words) * sizeof(*args));
        return PyObject_VectorcallMethod(st->s._invoke, all, (size_t)given + 1, named);
    }
    double now;
    PyObject *began = count(st, self->budget, BUDGET_CALLS, st->one) < 0 ? NULL : look_at(self->clock, &now);
    PyObject *deadline = began ? deadline_of(st, plan, args[3], now) : NULL;
    PyObject *call = make_call(st, args[0], plan, args[3], packed, deadline, began);
    Py_XDECREF(began);
    Py_DECREF(packed);
    PyObject *value = call ? proceed(self, plan, call) : NULL;
    Py_XDECREF(call);
    Py_DECREF(plan);
    return value;
}

static PyObject *
invoking_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(named))
{
    State *st = state_of(type);
    Invoking *self = st ? (Invoking *)type->tp_alloc(type, 0) : NULL;
    if (self) {
        self->st = st;
        self->budget = Py_NewRef(Py_None);
        self->clock = Py_NewRef(Py_None);
        self->hub = Py_NewRef(Py_None);
        self->learnt = Py_NewRef(Py_None);
        self->plans = Py_NewRef(Py_None);
        self->root = Py_NewRef(Py_None);
    }
    return (PyObject *)self;
}

static int
invoking_traverse(Invoking *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->budget);
    Py_VISIT(self->clock);
    Py_VISIT(self->hub);
    Py_VISIT(self->learnt);
    Py_VISIT(self->plans);
    Py_VISIT(self->root);
    return 0;
}

static int
invoking_clear(Invoking *self)
{
    FORGET(budget);
    FORGET(clock);
    FORGET(hub);
    FORGET(learnt);
    FORGET(plans);
    FORGET(root);
    return 0;
}

static void
invoking_dealloc(Invoking *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(self->budget);
    Py_XDECREF(self->clock);
    Py_XDECREF(self->hub);
    Py_XDECREF(self->learnt);
    Py_XDECREF(self->plans);
    Py_XDECREF(self->root);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef invoking_methods[] = {
    {"invoke", (PyCFunction)(void (*)(void))invoking_invoke, METH_FASTCALL | METH_KEYWORDS, invoke_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef invoking_members[] = {
    {"_has_members", T_BOOL, offsetof(Invoking, has_members), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef invoking_fields[] = {
    OBJECT(Invoking, "_budget", budget), OBJECT(Invoking, "_clock", clock), OBJECT(Invoking, "_hub", hub),
    OBJECT(Invoking, "_learnt", learnt), OBJECT(Invoking, "_plans", plans), OBJECT(Invoking, "_root", root),
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot invoking_slots[] = {
    {Py_tp_doc, "What a client does for each call."},
    {Py_tp_new, invoking_new},
    {Py_tp_methods, invoking_methods},
    {Py_tp_members, invoking_members},
    {Py_tp_getset, invoking_fields},
    {Py_tp_traverse, invoking_traverse},
    {Py_tp_clear, invoking_clear},
    {Py_tp_dealloc, invoking_dealloc},
    {0, NULL},
};

static PyType_Spec invoking_spec = {
    .name = "zkrpc.client._compiled.Invoking",
    .basicsize = sizeof(Invoking),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = invoking_slots,
};

/* The module */

/* Where objects of a class hold what a slot of it names; 0 if that is not so. */
static Py_ssize_t
place_of(PyTypeObject *class, PyObject *name)
{
    PyObject *found = PyDict_GetItemWithError(class->tp_dict, name);
    if (!found || !Py_IS_TYPE(found, &PyMemberDescr_Type)) {
        return 0;
    }
    const struct PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;
    return member->type == T_OBJECT_EX && !(member->flags & READONLY) ? member->offset : 0;
}

PyDoc_STRVAR(know_doc, "know(name, class)\n--\n\n\
Objects of this class are read and filled by their slots from here on. ValueError if it lacks one of them.");

static PyObject *
know(PyObject *module, PyObject *args)
{
    State *st = PyModule_GetState(module);
    const char *name;
    PyTypeObject *class;
    if (!PyArg_ParseTuple(args, "sO!", &name, &PyType_Type, &class)) {
        return NULL;
    }
    int number = 0;
    while (number < CLASSES && strcmp(class_names[number], name)) {
        number++;
    }
    int known = number < CLASSES;
    for (int slot = 0; known && slot < SLOT_COUNT; slot++) {
        if (class_of[slot] == number) {
            st->place[slot] = place_of(class, st->text[slot]);
            known = st->place[slot] > 0;
        }
    }
    if (!known || PyErr_Occurred()) {
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "%s is not as it should be", name);
    }
    Py_XSETREF(st->known[number], (PyTypeObject *)Py_NewRef((PyObject *)class));
    return Py_NewRef(Py_None);
}

static PyMethodDef functions[] = {
    {"know", know, METH_VARARGS, know_doc},
    {NULL, NULL, 0, NULL},
};

static PyObject *
find(const char *module, const char *name)
{
    PyObject *from = PyImport_ImportModule(module);
    PyObject *found = from ? PyObject_GetAttrString(from, name) : NULL;
    Py_XDECREF(from);
    return found;
}

static int
find_number(const char *module, const char *name, double *number)
{
    PyObject *found = find(module, name);
    *number = found ? PyFloat_AsDouble(found) : -1;
    Py_XDECREF(found);
    return *number == -1 ? -1 : 0;
}

static int
add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    int failed = !type || PyModule_AddType(module, (PyTypeObject *)type) < 0;
    Py_XDECREF(type);
    return failed;
}

static int
fill_module(PyObject *module)
{
    State *st = PyModule_GetState(module);
    for (int slot = 0; slot < SLOT_COUNT; slot++) {
        if (!(st->text[slot] = PyUnicode_InternFromString(name_of[slot]))) {
            return -1;
        }
    }
#define INTERN(name) if (!(st->s.name = PyUnicode_InternFromString(#name))) return -1;
    NAMES(INTERN)
    PyObject *most = NULL;
    int failed = !(st->switch_to = PyUnicode_InternFromString("switch"))
        || !(st->send_names = Py_BuildValue("(OOO)", st->s.deadline_at, st->s.now, st->s.headers))
        || !(st->zero = PyLong_FromLong(0)) || !(st->one = PyLong_FromLong(1))
        || !(st->minus_one = PyLong_FromLong(-1)) || find_number("zkrpc.balancing.load", "DECAY", &st->decay) < 0
        || find_number("zkrpc.balancing.load", "FORGET_AFTER", &st->forget_after) < 0
        || !(st->getcurrent = find("gevent", "getcurrent"))
        || !(st->find_current_call = find("zkrpc.call", "find_current_call"))
        || !(st->nobody = find("zkrpc.call", "NO_ENDPOINTS"))
        || !(st->in_event_loop = find("zkrpc.belonging", "is_in_event_loop"))
        || !(st->local_error = find("zkrpc.errors", "LocalProtocolError"))
        || !(st->deadline = (PyTypeObject *)find("zkrpc.deadline", "Deadline"))
        || !(most = find("zkrpc.telemetry.recording", "MOST"));
    st->most_seconds = most ? PyLong_AsSsize_t(most) : 0;
    Py_XDECREF(most);
    PyObject *kinds = failed ? NULL : find("zkrpc.wire.envelope", "MessageKind");
    st->exception_kind = kinds ? PyObject_GetAttrString(kinds, "EXCEPTION") : NULL;
    Py_XDECREF(kinds);
    PyObject *payloads = st->exception_kind ? find("zkrpc.codec", "Payload") : NULL;
    st->binary = payloads ? PyObject_GetAttrString(payloads, "BINARY") : NULL;
    Py_XDECREF(payloads);
    failed = !st->binary || add_type(module, &exchange_spec) || add_type(module, &attempting_spec)
        || add_type(module, &first_spec) || add_type(module, &invoking_spec);
    return failed ? -1 : PyModule_AddStringConstant(module, "BUILT_FROM", BUILT_FROM);
}

static int
visit_module(PyObject *module, visitproc visit, void *arg)
{
    State *st = PyModule_GetState(module);
    for (int number = 0; number < CLASSES; number++) {
        Py_VISIT(st->known[number]);
    }
    Py_VISIT(st->getcurrent);
    Py_VISIT(st->find_current_call);
    Py_VISIT(st->in_event_loop);
    Py_VISIT(st->local_error);
    Py_VISIT(st->deadline);
    Py_VISIT(st->exception_kind);
    Py_VISIT(st->binary);
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, fill_module},
    {0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "zkrpc.client._compiled",
    .m_doc = "The compiled part of zkrpc.client.",
    .m_size = sizeof(State),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = visit_module,
};

PyMODINIT_FUNC
PyInit__compiled(void)
{
    return PyModuleDef_Init(&definition);
}
