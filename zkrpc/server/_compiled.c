/* A request's way to its handler and back, as far as all goes well. zkrpc/server/compiled.py tells it what it needs to
   know.

   Whatever is out of the ordinary is left to Python, which does the same: before the handler has run it begins again
   with the request, and afterwards it goes on with the handler's outcome. So a handler never runs twice, and nothing
   here has a message.

   Decoding, the handler, encoding and whatever is released can do anything: switch greenlets, dispatch more requests,
   replace the dispatcher. So all state of one request is in the arguments and locals of one call, and whatever is used
   after such a call is owned. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#ifndef BUILT_FROM
#error "setup.py defines what this is built from"
#endif

/* The fields of wire.message.Request. */
enum { NAME, SEQID, KIND, HEADERS, FRAME, OFFSET, DIALECT, RECEIVED_AT, HEADER_SEQID, FLAGS, TEMPLATE, REQUEST_SIZE };

/* The fields of an entry of the dispatcher's table. */
enum { METHOD, HANDLER, RECORDING, INTERRUPTIBLE, LABEL, RUN, DECODE, ENCODE, ENTRY_SIZE };

/* The slots of a call.ServerCall. */
enum { ARGUMENTS, CALLER, ENTERED, EPOCH, CALL_HANDLER, CALL_HEADERS, CALL_METHOD, PEER, CALL_RECEIVED_AT, REVOKED,
       SLOTS };
static const char *const slot_names[SLOTS] = {
    "arguments", "caller", "entered", "epoch", "handler", "headers", "method", "peer", "received_at", "revoked"
};

enum { ANSWER_SIZE = 3, DIALECTS = 16 };

/* What all dispatchers know, borrowed from a tuple that is kept. */
typedef struct {
    PyTypeObject *request, *call, *answer;
    PyObject *current;           /* the context variable */
    PyObject *run_handler;       /* what runs handlers where they run in place and nothing is around them */
    PyObject *call_kind, *reply_kind;
    PyObject *binary, *compact;  /* tuples of dialects */
    PyObject *budget_key;
    PyObject *budgets;           /* seconds by texts */
    PyObject *nobody;
    Py_ssize_t most;             /* durations that are gathered */
} Known;

typedef struct {
    PyObject_HEAD
    PyObject *table;             /* entries by names; NULL: Python dispatches */
    PyObject *max_elements;
    PyObject *clock;
    PyObject *kept;
    Known known;
    PyObject *headers;           /* the last ones, which come again and again, ... */
    double budget;               /* ... and the seconds that they give */
} Core;

/* Slots of what a connection works with. */
enum { METER_ACCOUNT, ACCOUNT_KNOWN, ACCOUNT_CALLER, TALLY_CALLS, TALLY_CALLED_AT, ADMISSION_RUNNING, ADMISSION_OPEN,
       ADMISSION_GATE, ADMISSION_LIMIT, ADMISSION_TURNS, ADMISSION_LEFT_AT, PLACES };
static const char *const place_names[PLACES] = {
    "account", "known", "caller", "calls", "called_at", "running", "_open", "_gate", "_limit", "_turns", "_left_at"
};

typedef struct {
    Py_ssize_t slots[SLOTS], places[PLACES];
    PyTypeObject *meter, *admission, *answer;
    PyObject *reply;
    double flush_after;
    /* names */
    PyObject *in_python, *settle, *raised, *get, *seconds, *urgent, *settle_all, *take_in, *admit, *accepts_calls,
        *leave, *send_reply, *answer_name, *in_front, *run, *finish, *run_admitted, *next_request, *leave_off;
    PyObject *no_result;         /* the body of a reply without a value */
} State;

static inline void
put(PyObject *call, Py_ssize_t slot, PyObject *value)
{
    *(PyObject **)((char *)call + slot) = Py_NewRef(value);
}

static inline PyObject *
at(PyObject *call, Py_ssize_t slot)
{
    return *(PyObject **)((char *)call + slot);
}

/* Seconds that the caller waits, by the headers; -1 if Python has to read them, or with an exception. */
static double
budget_of(Core *self, State *state, PyObject *headers)
{
    if (headers == self->headers) {
        return self->budget;
    }
    PyObject *arguments[] = {headers, self->known.budget_key};
    PyObject *text = PyObject_VectorcallMethod(state->get, arguments, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    if (!text) {
        return -1;
    }
    double budget = Py_HUGE_VAL;
    if (text != Py_None) {
        PyObject *known = PyUnicode_CheckExact(text) ? PyDict_GetItemWithError(self->known.budgets, text) : NULL;
        budget = known && PyFloat_CheckExact(known) ? PyFloat_AS_DOUBLE(known) : -1;
    }
    Py_DECREF(text);
    if (budget >= 0 && Py_TYPE(headers) == &PyDictProxy_Type) {
        PyObject *before = self->headers;
        self->headers = Py_NewRef(headers);
        self->budget = budget;
        Py_XDECREF(before);
    }
    return budget;
}

/* Whether a dialect is compact; -1 if it is not known. */
static inline int
is_compact(const Known *known, PyObject *dialect)
{
    for (Py_ssize_t place = 0; place < PyTuple_GET_SIZE(known->binary); place++) {
        if (PyTuple_GET_ITEM(known->binary, place) == dialect) {
            return 0;
        }
    }
    for (Py_ssize_t place = 0; place < PyTuple_GET_SIZE(known->compact); place++) {
        if (PyTuple_GET_ITEM(known->compact, place) == dialect) {
            return 1;
        }
    }
    return -1;
}

static PyObject *
make_call(const Known *known, const State *state, PyObject *entry, PyObject *arguments, PyObject *request,
          PyObject *peer, PyObject *caller, int entered)
{
    PyObject *call = known->call->tp_alloc(known->call, 0);
    if (call) {
        const Py_ssize_t *slots = state->slots;
        put(call, slots[ARGUMENTS], arguments);
        put(call, slots[CALLER], caller);
        put(call, slots[ENTERED], entered ? Py_True : Py_False);
        put(call, slots[EPOCH], Py_None);
        put(call, slots[CALL_HANDLER], PyTuple_GET_ITEM(entry, HANDLER));
        put(call, slots[CALL_HEADERS], PyTuple_GET_ITEM(request, HEADERS));
        put(call, slots[CALL_METHOD], PyTuple_GET_ITEM(entry, LABEL));
        put(call, slots[PEER], peer);
        put(call, slots[CALL_RECEIVED_AT], PyTuple_GET_ITEM(request, RECEIVED_AT));
        put(call, slots[REVOKED], Py_None);
    }
    return call;
}

/* The body of the reply; NULL if Python has to look, with an exception if it must not be swallowed. */
static PyObject *
encode(const State *state, PyObject *entry, PyObject *request, PyObject *call, PyObject *value, int compact,
       PyObject *call_kind)
{
    PyObject *encode = PyTuple_GET_ITEM(entry, ENCODE);
    if (encode == Py_None || PyTuple_GET_ITEM(request, KIND) != call_kind
        || at(call, state->slots[EPOCH]) != Py_None || at(call, state->slots[REVOKED]) != Py_None) {
        return NULL;
    }
    if (encode == Py_False) {
        return value == Py_None ? Py_NewRef(state->no_result) : NULL;
    }
    if (value == Py_None) {
        return NULL;
    }
    PyObject *arguments[] = {NULL, NULL, value, compact ? Py_True : Py_False};
    PyObject *first = PyLong_FromLong(0);
    if (!first) {
        return NULL;
    }
    arguments[1] = first;
    PyObject *body = PyObject_Vectorcall(encode, arguments + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(first);
    if (body == Py_None) {
        Py_CLEAR(body);
    }
    return body;
}

/* As in Recording.note. */
static int
note(Core *self, State *state, PyObject *recording, PyObject *now)
{
    int done = -1;
    double took = 0.0, most = 0.0;
    PyObject *gathered = NULL, *urgent = NULL, *lasted = NULL;
    PyObject *clock = Py_NewRef(self->clock);
    PyObject *ended = PyObject_CallNoArgs(clock);
    Py_DECREF(clock);
    if (ended && (lasted = PyNumber_Subtract(ended, now)) && (gathered = PyObject_GetAttr(recording, state->seconds))
        && (urgent = PyObject_GetAttr(recording, state->urgent)) && PyList_CheckExact(gathered)) {
        done = PyList_Append(gathered, lasted);
        took = PyFloat_AsDouble(lasted);
        most = PyFloat_AsDouble(urgent);
    }
    if (!done && PyErr_Occurred()) {
        done = -1;
    }
    if (!done && (took >= most || PyList_GET_SIZE(gathered) >= self->known.most)) {
        PyObject *nothing = PyObject_CallMethodNoArgs(recording, state->settle_all);
        done = nothing ? 0 : -1;
        Py_XDECREF(nothing);
    }
    Py_XDECREF(ended);
    Py_XDECREF(lasted);
    Py_XDECREF(gathered);
    Py_XDECREF(urgent);
    return done;
}

/* Goes on in Python with what the handler did: the method of the dispatcher with the request, entry, call and outcome. */
static PyObject *
go_on(Core *self, PyObject *name, PyObject *const *args, PyObject *caller, PyObject *entry, PyObject *call,
      PyObject *outcome)
{
    PyObject *all[] = {(PyObject *)self, args[0], args[1], args[2], caller, entry, call, outcome};
    return PyObject_VectorcallMethod(name, all, 8 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

/* Goes on with the exception that the handler has raised, which is set. */
static PyObject *
raised(Core *self, State *state, PyObject *const *args, PyObject *caller, PyObject *entry, PyObject *call)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback) {
        PyException_SetTraceback(error, traceback);
    }
    PyObject *answer = go_on(self, state->raised, args, caller, entry, call, error);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    return answer;
}

static PyObject *
run(PyObject *entry, PyObject *call, PyObject *arguments, int in_place)
{
    if (!in_place) {
        return PyObject_CallOneArg(PyTuple_GET_ITEM(entry, RUN), call);
    }
    return PyObject_Vectorcall(PyTuple_GET_ITEM(entry, HANDLER), &PyTuple_GET_ITEM(arguments, 0),
                               PyTuple_GET_SIZE(arguments), NULL);
}

/* Runs the handler with the arguments that were read, and makes the answer. */
static PyObject *
serve(Core *self, State *state, PyObject *const *args, PyObject *caller, PyObject *entry, PyObject *arguments,
      int compact)
{
    const Known *known = &self->known;
    PyObject *kept = Py_NewRef(self->kept), *current = Py_NewRef(known->current), *call_kind = known->call_kind;
    PyObject *request = args[0], *answer = NULL, *value = NULL, *body = NULL, *token = NULL;
    PyTypeObject *answer_type = known->answer;
    PyObject *reply_kind = known->reply_kind;
    int in_place = PyTuple_GET_ITEM(entry, RUN) == known->run_handler;
    PyObject *call = make_call(known, state, entry, arguments, request, args[1], caller, in_place);
    if (!call || !(token = PyContextVar_Set(current, call))) {
        goto done;
    }
    value = run(entry, call, arguments, in_place);
    if (!value) {
        answer = raised(self, state, args, caller, entry, call);
    }
    {
        PyObject *type, *error, *traceback;
        PyErr_Fetch(&type, &error, &traceback);
        if (PyContextVar_Reset(current, token) < 0) {
            Py_CLEAR(answer);
            Py_CLEAR(value);
            Py_XDECREF(type);
            Py_XDECREF(error);
            Py_XDECREF(traceback);
            goto done;
        }
        PyErr_Restore(type, error, traceback);
    }
    if (!value) {
        goto done;
    }
    body = encode(state, entry, request, call, value, compact, call_kind);
    if (!body) {
        answer = PyErr_Occurred() ? NULL : go_on(self, state->settle, args, caller, entry, call, value);
        goto done;
    }
    answer = answer_type->tp_alloc(answer_type, ANSWER_SIZE);
    if (answer) {
        PyTuple_SET_ITEM(answer, 0, Py_NewRef(reply_kind));
        PyTuple_SET_ITEM(answer, 1, Py_NewRef(body));
        PyTuple_SET_ITEM(answer, 2, Py_NewRef(Py_None));
        PyObject *recording = PyTuple_GET_ITEM(entry, RECORDING);
        if (recording != Py_None && note(self, state, recording, args[2]) < 0) {
            Py_CLEAR(answer);
        }
    }
done:
    Py_XDECREF(token);
    Py_XDECREF(call);
    Py_XDECREF(value);
    Py_XDECREF(body);
    Py_DECREF(current);
    Py_DECREF(kept);
    return answer;
}

/* The arguments of a request for which there is time; NULL if Python has to look, or with an exception. */
static PyObject *
read_arguments(Core *self, State *state, PyObject *request, PyObject *entry, PyObject *now, int *compact)
{
    double budget = budget_of(self, state, PyTuple_GET_ITEM(request, HEADERS));
    if (budget < 0 || !self->table) {
        return NULL;
    }
    if (budget != Py_HUGE_VAL) {
        PyObject *received_at = PyTuple_GET_ITEM(request, RECEIVED_AT);
        if (!PyFloat_CheckExact(now) || !PyFloat_CheckExact(received_at)
            || PyFloat_AS_DOUBLE(now) >= PyFloat_AS_DOUBLE(received_at) + budget) {
            return NULL;
        }
    }
    *compact = is_compact(&self->known, PyTuple_GET_ITEM(request, DIALECT));
    PyObject *decode = PyTuple_GET_ITEM(entry, DECODE);
    if (*compact < 0 || decode == Py_None) {
        return NULL;
    }
    PyObject *max_elements = Py_NewRef(self->max_elements);
    PyObject *all[] = {
        NULL, PyTuple_GET_ITEM(request, FRAME), PyTuple_GET_ITEM(request, OFFSET), *compact ? Py_True : Py_False,
        max_elements
    };
    PyObject *arguments = PyObject_Vectorcall(decode, all + 1, 4 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(max_elements);
    if (arguments && !PyTuple_CheckExact(arguments)) {
        Py_CLEAR(arguments);
    }
    return arguments;
}

PyDoc_STRVAR(dispatch_doc, "dispatch(request, peer, now, caller)\n--\n\n\
Runs one request of a caller and returns the answer, or None, as the dispatcher's method in Python does.");

static PyObject *
dispatch(Core *self, PyTypeObject *class, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    State *state = PyType_GetModuleState(class);
    PyObject *arguments = NULL, *answer = NULL, *entry = NULL, *caller = NULL;
    int compact = 0;
    if (self->table && !names && (count == 3 || count == 4) && Py_TYPE(args[0]) == self->known.request
        && PyTuple_GET_SIZE(args[0]) == REQUEST_SIZE && PyBytes_CheckExact(PyTuple_GET_ITEM(args[0], NAME))) {
        entry = Py_XNewRef(PyDict_GetItemWithError(self->table, PyTuple_GET_ITEM(args[0], NAME)));
        caller = Py_NewRef(count == 4 ? args[3] : self->known.nobody);
        if (entry) {
            arguments = read_arguments(self, state, args[0], entry, args[2], &compact);
        }
    }
    if (arguments && self->table) {
        answer = serve(self, state, args, caller, entry, arguments, compact);
    }
    else if (!PyErr_Occurred()) {
        PyObject *in_python = PyObject_GetAttr((PyObject *)self, state->in_python);
        answer = in_python ? PyObject_Vectorcall(in_python, args, count, names) : NULL;
        Py_XDECREF(in_python);
    }
    Py_XDECREF(arguments);
    Py_XDECREF(entry);
    Py_XDECREF(caller);
    return answer;
}

/* The offset of an object's slot. */
static int
find_slot(Py_ssize_t *slot, PyTypeObject *class, const char *name)
{
    PyObject *found = PyObject_GetAttrString((PyObject *)class, name);
    const struct PyMemberDef *member = found && Py_TYPE(found) == &PyMemberDescr_Type
        ? ((PyMemberDescrObject *)found)->d_member : NULL;
    int fits = member && member->type == T_OBJECT_EX && member->offset > 0 && PyDescr_TYPE(found) == class;
    *slot = fits ? member->offset : 0;
    Py_XDECREF(found);
    if (!fits) {
        PyErr_Format(PyExc_TypeError, "%s has no slot %s", class->tp_name, name);
    }
    return fits;
}

static int
find_slots(State *state, PyTypeObject *call)
{
    for (int place = 0; place < SLOTS; place++) {
        if (!find_slot(&state->slots[place], call, slot_names[place])) {
            return 0;
        }
    }
    return 1;
}

static int
is_table(PyObject *table)
{
    PyObject *name, *entry;
    Py_ssize_t place = 0;
    while (PyDict_Next(table, &place, &name, &entry)) {
        if (!PyTuple_Check(entry) || PyTuple_GET_SIZE(entry) != ENTRY_SIZE) {
            return 0;
        }
    }
    return 1;
}

PyDoc_STRVAR(prepare_doc, "prepare(table, max_elements, clock, known)\n--\n\n\
Says what requests are dispatched by; before, and without, Python dispatches. See zkrpc.server.compiled for the rest.");

static PyObject *
prepare(Core *self, PyTypeObject *class, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    State *state = PyType_GetModuleState(class);
    Known known;
    if (names || count != 4 || !PyDict_CheckExact(args[0]) || !PyTuple_CheckExact(args[3]) || self->table
        || !PyLong_CheckExact(args[1]) || !is_table(args[0])) {
        PyErr_SetString(PyExc_TypeError, "prepare() takes a table, a number, a clock and what is known, once");
        return NULL;
    }
    if (!PyArg_ParseTuple(args[3], "O!O!O!OOOOO!O!OO!On", &PyType_Type, &known.request, &PyType_Type, &known.call,
                          &PyType_Type, &known.answer, &known.current, &known.run_handler, &known.call_kind,
                          &known.reply_kind, &PyTuple_Type, &known.binary, &PyTuple_Type, &known.compact,
                          &known.budget_key, &PyDict_Type, &known.budgets, &known.nobody, &known.most)
        || !find_slots(state, known.call)) {
        return NULL;
    }
    if (!PyContextVar_CheckExact(known.current) || !PyType_IsSubtype(known.request, &PyTuple_Type)
        || !PyType_IsSubtype(known.answer, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "requests and answers are tuples, and the current call is a context variable");
        return NULL;
    }
    self->known = known;
    self->kept = Py_NewRef(args[3]);
    self->max_elements = Py_NewRef(args[1]);
    self->clock = Py_NewRef(args[2]);
    self->table = Py_NewRef(args[0]);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"dispatch", (PyCFunction)(void (*)(void))dispatch, METH_METHOD | METH_FASTCALL | METH_KEYWORDS, dispatch_doc},
    {"prepare", (PyCFunction)(void (*)(void))prepare, METH_METHOD | METH_FASTCALL | METH_KEYWORDS, prepare_doc},
    {NULL, NULL, 0, NULL},
};

static int
traverse(Core *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->table);
    Py_VISIT(self->max_elements);
    Py_VISIT(self->clock);
    Py_VISIT(self->kept);
    Py_VISIT(self->headers);
    return 0;
}

static int
clear(Core *self)
{
    Py_CLEAR(self->table);
    Py_CLEAR(self->max_elements);
    Py_CLEAR(self->clock);
    Py_CLEAR(self->kept);
    Py_CLEAR(self->headers);
    return 0;
}

static void
dealloc(Core *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot core_slots[] = {
    {Py_tp_doc, "What a dispatcher does with requests that go well."},
    {Py_tp_methods, methods},
    {Py_tp_traverse, traverse},
    {Py_tp_clear, clear},
    {Py_tp_dealloc, dealloc},
    {0, NULL},
};

static PyType_Spec core_spec = {
    .name = "zkrpc.server._compiled.Core",
    .basicsize = sizeof(Core),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = core_slots,
};

/* One connection's requests, run one after another. */

typedef struct {
    PyObject_HEAD
    PyObject *protocol, *meter, *share, *peer, *serving, *dispatch, *queue, *admission, *clock;
    PyObject *admitted;          /* the queue's */
    double used_at, flushed_at, turn_ends;
    char closed, turn_is_over;
} Crew;

static PyMemberDef crew_members[] = {
    {"protocol", T_OBJECT_EX, offsetof(Crew, protocol), 0, NULL},
    {"meter", T_OBJECT_EX, offsetof(Crew, meter), 0, NULL},
    {"share", T_OBJECT_EX, offsetof(Crew, share), 0, NULL},
    {"peer", T_OBJECT_EX, offsetof(Crew, peer), 0, NULL},
    {"clock", T_OBJECT_EX, offsetof(Crew, clock), 0, NULL},
    {"_serving", T_OBJECT_EX, offsetof(Crew, serving), 0, NULL},
    {"_dispatch", T_OBJECT_EX, offsetof(Crew, dispatch), 0, NULL},
    {"_queue", T_OBJECT_EX, offsetof(Crew, queue), 0, NULL},
    {"_admission", T_OBJECT_EX, offsetof(Crew, admission), 0, NULL},
    {"_admitted", T_OBJECT_EX, offsetof(Crew, admitted), 0, NULL},
    {"used_at", T_DOUBLE, offsetof(Crew, used_at), 0, NULL},
    {"_flushed_at", T_DOUBLE, offsetof(Crew, flushed_at), 0, NULL},
    {"_turn_ends", T_DOUBLE, offsetof(Crew, turn_ends), 0, NULL},
    {"closed", T_BOOL, offsetof(Crew, closed), 0, NULL},
    {"_turn_is_over", T_BOOL, offsetof(Crew, turn_is_over), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

/* Replaces what a slot holds, which may be nothing; takes the reference. */
static inline void
replace(PyObject *object, Py_ssize_t slot, PyObject *value)
{
    PyObject **place = (PyObject **)((char *)object + slot), *before = *place;
    *place = value;
    Py_XDECREF(before);
}

/* Adds to a number in a slot. */
static int
add(PyObject *object, Py_ssize_t slot, long step)
{
    PyObject *before = at(object, slot);
    long number = before && PyLong_CheckExact(before) ? PyLong_AsLong(before) : -1;
    if (number < 0) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError, "not a count");
        }
        return -1;
    }
    PyObject *after = PyLong_FromLong(number + step);
    if (!after) {
        return -1;
    }
    replace(object, slot, after);
    return 0;
}

/* Calls a method that returns nothing. */
static int
tell(Crew *self, PyObject *name, PyObject *first, PyObject *second, PyObject *third, PyObject *fourth,
     PyObject *fifth)
{
    PyObject *all[] = {(PyObject *)self, first, second, third, fourth, fifth};
    size_t count = 1;
    while (count < 6 && all[count]) {
        count++;
    }
    PyObject *nothing = PyObject_VectorcallMethod(name, all, count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_XDECREF(nothing);
    return nothing ? 0 : -1;
}

/* Whether a request, which came at this time, may run, and is counted then; if not, it has been answered, or waits. */
static int
take_in(Crew *self, State *state, PyObject *request, PyObject *now)
{
    const Py_ssize_t *places = state->places;
    PyObject *account = at(self->meter, places[METER_ACCOUNT]), *known = at(account, places[ACCOUNT_KNOWN]);
    PyObject *tally = Py_XNewRef(PyDict_GetItemWithError(known, PyTuple_GET_ITEM(request, NAME)));
    if (!tally) {
        if (PyErr_Occurred()) {
            return -1;
        }
        PyObject *may = PyObject_CallMethodObjArgs((PyObject *)self, state->take_in, request, now, NULL);
        int runs = may ? PyObject_IsTrue(may) : -1;
        Py_XDECREF(may);
        return runs;
    }
    int failed = add(tally, places[TALLY_CALLS], 1);
    replace(tally, places[TALLY_CALLED_AT], Py_NewRef(now));
    Py_DECREF(tally);
    if (failed) {
        return -1;
    }
    PyObject *admission = Py_NewRef(self->admission);
    PyObject *running = at(admission, places[ADMISSION_RUNNING]), *open = at(admission, places[ADMISSION_OPEN]);
    int runs = PyObject_RichCompareBool(running, open, Py_LT);
    if (runs > 0) {
        PyObject *accepts = PyObject_GetAttr(at(admission, places[ADMISSION_GATE]), state->accepts_calls);
        runs = accepts ? PyObject_IsTrue(accepts) : -1;
        Py_XDECREF(accepts);
    }
    if (runs > 0) {
        runs = add(admission, places[ADMISSION_RUNNING], 1) ? -1 : 1;
    }
    else if (!runs) {
        PyObject *may = PyObject_CallMethodObjArgs((PyObject *)self, state->admit, request, NULL);
        runs = may ? PyObject_IsTrue(may) : -1;
        Py_XDECREF(may);
    }
    Py_DECREF(admission);
    return runs;
}

/* Sends the answer of a handler that never blocked. */
static int
answer_well(Crew *self, State *state, PyObject *request, PyObject *answer, PyObject *now)
{
    const Py_ssize_t *places = state->places;
    PyObject *admission = Py_NewRef(self->admission), *turns = at(admission, places[ADMISSION_TURNS]);
    int failed = 0;
    if (at(admission, places[ADMISSION_LIMIT]) == Py_None && PyDict_CheckExact(turns) && !PyDict_GET_SIZE(turns)) {
        failed = add(admission, places[ADMISSION_RUNNING], -1);
        replace(admission, places[ADMISSION_LEFT_AT], Py_NewRef(Py_None));
    }
    else {
        PyObject *nothing = PyObject_CallMethodOneArg(admission, state->leave, now);
        failed = nothing ? 0 : -1;
        Py_XDECREF(nothing);
    }
    Py_DECREF(admission);
    if (failed) {
        return -1;
    }
    if (!self->closed && Py_TYPE(answer) == state->answer && PyTuple_GET_ITEM(answer, 0) == state->reply
        && PyTuple_GET_ITEM(answer, 2) == Py_None) {
        PyObject *all[] = {Py_NewRef(self->protocol), request, PyTuple_GET_ITEM(answer, 1)};
        PyObject *nothing =
            PyObject_VectorcallMethod(state->send_reply, all, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        Py_DECREF(all[0]);
        if (nothing) {
            Py_DECREF(nothing);
            return 0;
        }
        if (!PyErr_ExceptionMatches(PyExc_Exception)) {
            return -1;
        }
        PyErr_Clear();  /* it is refused again there, and what is refused is answered */
    }
    return tell(self, state->answer_name, request, answer, NULL, NULL, NULL);
}

/* Runs a request that has a place. */
static int
run_request(Crew *self, State *state, PyObject *request, PyObject *worker, PyObject *now)
{
    PyObject *in_front = PyObject_GetAttr(worker, state->in_front);
    Py_XDECREF(in_front);
    if (!in_front) {
        return -1;
    }
    if (in_front != Py_True || PyFloat_AS_DOUBLE(now) - self->flushed_at > state->flush_after) {
        return tell(self, state->run, request, worker, now, NULL, NULL);
    }
    PyObject *serving = Py_NewRef(self->serving), *dispatch = Py_NewRef(self->dispatch), *error = NULL;
    PyObject *answer = NULL;
    int failed = PyDict_SetItem(serving, worker, request);
    if (!failed) {
        PyObject *account = at(self->meter, state->places[METER_ACCOUNT]);
        PyObject *caller = Py_NewRef(at(account, state->places[ACCOUNT_CALLER])), *peer = Py_NewRef(self->peer);
        PyObject *all[] = {NULL, request, peer, now, caller};
        self->used_at = PyFloat_AS_DOUBLE(now);
        answer = PyObject_Vectorcall(dispatch, all + 1, 4 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        Py_DECREF(caller);
        Py_DECREF(peer);
        if (!answer) {
            PyObject *type, *traceback;
            PyErr_Fetch(&type, &error, &traceback);
            PyErr_NormalizeException(&type, &error, &traceback);
            if (traceback) {
                PyException_SetTraceback(error, traceback);
            }
            Py_XDECREF(type);
            Py_XDECREF(traceback);
        }
        in_front = PyObject_GetAttr(worker, state->in_front);
        Py_XDECREF(in_front);
        if (answer && in_front == Py_True && PyDict_GetItemWithError(serving, worker) == request) {
            failed = PyDict_DelItem(serving, worker);
            failed = failed ? failed : answer_well(self, state, request, answer, now);
        }
        else if (PyErr_Occurred()) {
            failed = -1;
        }
        else {
            failed = tell(self, state->finish, request, worker, now, answer ? answer : Py_None,
                          error ? error : Py_None);
        }
    }
    Py_XDECREF(error);
    Py_XDECREF(answer);
    Py_DECREF(serving);
    Py_DECREF(dispatch);
    return failed;
}

PyDoc_STRVAR(run_requests_doc, "_run_requests(worker)\n--\n\n\
Runs the waiting requests in a worker, until the slice of time is used up, as the connection does in Python.");

static PyObject *
run_requests(Crew *self, PyTypeObject *class, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    State *state = PyType_GetModuleState(class);
    int failed = 0;
    if (count != 1 || names || !state->answer || !self->protocol || !self->meter || !self->share || !self->peer
        || !self->serving || !PyDict_CheckExact(self->serving) || !self->dispatch || !self->queue || !self->admission
        || !self->clock || !self->admitted || Py_TYPE(self->meter) != state->meter
        || Py_TYPE(self->admission) != state->admission) {
        PyErr_SetString(PyExc_TypeError, "requests are run for one worker, on a connection that is complete");
        return NULL;
    }
    while (!failed) {
        PyObject *now = PyObject_CallNoArgs(self->clock), *request = NULL;
        if (!now || !PyFloat_CheckExact(now)) {
            if (now) {
                PyErr_SetString(PyExc_TypeError, "the time is a float");
            }
            failed = -1;
        }
        else if (PyFloat_AS_DOUBLE(now) > self->turn_ends) {
            self->turn_is_over = 1;
            Py_DECREF(now);
            break;
        }
        else {
            Py_ssize_t waiting = PyObject_Size(self->admitted);
            if (waiting > 0) {
                failed = tell(self, state->run_admitted, args[0], now, NULL, NULL, NULL);
            }
            else if (!waiting) {
                PyObject *protocol = Py_NewRef(self->protocol);
                request = PyObject_CallMethodNoArgs(protocol, state->next_request);
                Py_DECREF(protocol);
                if (request == Py_None) {
                    Py_DECREF(request);
                    Py_DECREF(now);
                    break;
                }
                failed = request ? 0 : -1;
            }
            else {
                failed = -1;
            }
        }
        if (request && !failed) {
            int runs = take_in(self, state, request, now);
            failed = runs > 0 ? run_request(self, state, request, args[0], now) : runs;
        }
        Py_XDECREF(request);
        Py_XDECREF(now);
    }
    if (failed || tell(self, state->leave_off, args[0], NULL, NULL, NULL, NULL)) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef crew_methods[] = {
    {"_run_requests", (PyCFunction)(void (*)(void))run_requests, METH_METHOD | METH_FASTCALL | METH_KEYWORDS,
     run_requests_doc},
    {NULL, NULL, 0, NULL},
};

static int
traverse_crew(Crew *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->protocol);
    Py_VISIT(self->meter);
    Py_VISIT(self->share);
    Py_VISIT(self->peer);
    Py_VISIT(self->serving);
    Py_VISIT(self->dispatch);
    Py_VISIT(self->queue);
    Py_VISIT(self->admission);
    Py_VISIT(self->clock);
    Py_VISIT(self->admitted);
    return 0;
}

static int
clear_crew(Crew *self)
{
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->meter);
    Py_CLEAR(self->share);
    Py_CLEAR(self->peer);
    Py_CLEAR(self->serving);
    Py_CLEAR(self->dispatch);
    Py_CLEAR(self->queue);
    Py_CLEAR(self->admission);
    Py_CLEAR(self->clock);
    Py_CLEAR(self->admitted);
    return 0;
}

static void
dealloc_crew(Crew *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear_crew(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot crew_slots[] = {
    {Py_tp_doc, "How a connection runs requests."},
    {Py_tp_methods, crew_methods},
    {Py_tp_members, crew_members},
    {Py_tp_traverse, traverse_crew},
    {Py_tp_clear, clear_crew},
    {Py_tp_dealloc, dealloc_crew},
    {0, NULL},
};

static PyType_Spec crew_spec = {
    .name = "zkrpc.server._compiled.Crew",
    .basicsize = sizeof(Crew),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = crew_slots,
};

PyDoc_STRVAR(learn_doc, "learn(meter, account, tally, admission, answer, reply, flush_after)\n--\n\n\
Says what all connections work with: classes, what marks a reply, and seconds after which replies are sent.");

static PyObject *
learn(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    PyTypeObject *meter, *account, *tally, *admission, *answer;
    PyObject *reply;
    double flush_after;
    if (!PyArg_ParseTuple(args, "O!O!O!O!O!Od", &PyType_Type, &meter, &PyType_Type, &account, &PyType_Type, &tally,
                          &PyType_Type, &admission, &PyType_Type, &answer, &reply, &flush_after)) {
        return NULL;
    }
    PyTypeObject *const owners[PLACES] = {
        meter, account, account, tally, tally, admission, admission, admission, admission, admission, admission
    };
    for (int place = 0; place < PLACES; place++) {
        if (!find_slot(&state->places[place], owners[place], place_names[place])) {
            return NULL;
        }
    }
    Py_XSETREF(state->meter, (PyTypeObject *)Py_NewRef(meter));
    Py_XSETREF(state->admission, (PyTypeObject *)Py_NewRef(admission));
    Py_XSETREF(state->answer, (PyTypeObject *)Py_NewRef(answer));
    Py_XSETREF(state->reply, Py_NewRef(reply));
    state->flush_after = flush_after;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"learn", learn, METH_VARARGS, learn_doc},
    {NULL, NULL, 0, NULL},
};

/* The names that are looked up. */
static int
intern(State *state)
{
    const struct {
        PyObject **place;
        const char *name;
    } names[] = {
        {&state->in_python, "dispatch_in_python"}, {&state->settle, "_settle"}, {&state->raised, "_settle_error"},
        {&state->get, "get"}, {&state->seconds, "seconds"}, {&state->urgent, "urgent"},
        {&state->settle_all, "settle"}, {&state->take_in, "_take_in"}, {&state->admit, "_admit"},
        {&state->accepts_calls, "accepts_calls"}, {&state->leave, "leave"}, {&state->send_reply, "send_reply"},
        {&state->answer_name, "_answer"}, {&state->in_front, "in_front"}, {&state->run, "_run"},
        {&state->finish, "_finish"}, {&state->run_admitted, "_run_admitted"},
        {&state->next_request, "next_request"}, {&state->leave_off, "_leave_off"},
    };
    for (size_t place = 0; place < sizeof(names) / sizeof(*names); place++) {
        if (!(*names[place].place = PyUnicode_InternFromString(names[place].name))) {
            return 0;
        }
    }
    return 1;
}

static int
fill_module(PyObject *module)
{
    State *state = PyModule_GetState(module);
    PyObject *core = PyType_FromModuleAndSpec(module, &core_spec, NULL);
    PyObject *crew = core ? PyType_FromModuleAndSpec(module, &crew_spec, NULL) : NULL;
    int failed = !crew || PyModule_AddObjectRef(module, "Core", core) < 0
        || PyModule_AddObjectRef(module, "Crew", crew) < 0 || !intern(state)
        || !(state->no_result = PyBytes_FromStringAndSize("", 1));
    Py_XDECREF(core);
    Py_XDECREF(crew);
    if (failed) {
        return -1;
    }
    return PyModule_AddStringConstant(module, "BUILT_FROM", BUILT_FROM);
}

static int
traverse_module(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);
    Py_VISIT(state->meter);
    Py_VISIT(state->admission);
    Py_VISIT(state->answer);
    Py_VISIT(state->reply);
    return 0;  /* texts and bytes lead nowhere */
}

static int
clear_module(PyObject *module)
{
    State *state = PyModule_GetState(module);
    PyObject **const names[] = {
        &state->in_python, &state->settle, &state->raised, &state->get, &state->seconds, &state->urgent,
        &state->settle_all, &state->take_in, &state->admit, &state->accepts_calls, &state->leave, &state->send_reply,
        &state->answer_name, &state->in_front, &state->run, &state->finish, &state->run_admitted,
        &state->next_request, &state->leave_off, &state->no_result, &state->reply,
    };
    for (size_t place = 0; place < sizeof(names) / sizeof(*names); place++) {
        Py_CLEAR(*names[place]);
    }
    Py_CLEAR(state->meter);
    Py_CLEAR(state->admission);
    Py_CLEAR(state->answer);
    return 0;
}

static void
free_module(void *module)
{
    clear_module((PyObject *)module);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, fill_module},
    {0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "zkrpc.server._compiled",
    .m_doc = "The compiled part of zkrpc.server.",
    .m_size = sizeof(State),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = traverse_module,
    .m_clear = clear_module,
    .m_free = free_module,
};

PyMODINIT_FUNC
PyInit__compiled(void)
{
    return PyModuleDef_Init(&definition);
}
